"""From votes to decisions, without a database."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from feedback.decisions import Decision, decide
from feedback.models import Policy
from feedback.selectors.votes import Votes


def votes(kind: str, *rows: tuple[int, int, Any], said: Any = None) -> Votes:
    """Rows of item, annotator, value, ordered by item; `said`: probabilities of each row."""
    item, annotator, value = zip(*rows, strict=True)
    size = len(rows)
    longest = max((len(one) for one in value), default=0) if kind == "listwise" else 0
    padded = [[*one, *[np.nan] * (longest - len(one))] for one in value] if longest else value
    return Votes(
        item=np.array(item),
        prompt=np.array(item),
        annotator=np.array(annotator),
        judgment=np.arange(size),
        is_judge=np.zeros(size, dtype=np.bool_),
        both_bad=np.zeros(size, dtype=np.bool_),
        shown_first=np.zeros(size, dtype=np.int64),
        acceptable_to=np.full(size, np.nan),
        value=np.array(padded, dtype=np.float64),
        weight=np.ones(size),
        probability=np.empty((size, 0)) if said is None else np.array(said, dtype=np.float64),
    )


def decided(kind: str, *rows: tuple[int, int, Any], **policy: Any) -> list[Decision]:
    return list(decide(votes(kind, *rows), kind, Policy(**policy)))


def test_lists_of_different_lengths_stand_side_by_side() -> None:
    first, second = decided(
        "listwise",
        (1, 1, [1, 2]), (1, 2, [1, 2]),
        (2, 1, [4, 3, 2, 1]), (2, 2, [4, 3, 2, 1]),
    )  # fmt: skip
    assert (first.outcome["ranks"], len(first.probabilities)) == ([1, 2], 1)
    assert (second.outcome["ranks"], len(second.probabilities)) == ([4, 3, 2, 1], 6)
    assert (first.state, second.state, second.agreement) == ("accepted", "accepted", 1.0)


def test_a_probability_takes_the_place_of_a_whole_vote() -> None:
    rows = ((1, 1, 2), (1, 2, 0), (2, 1, -2), (2, 2, 0))
    # The judges' ties lean to the first by 0.9, and say nothing of the second item.
    given = votes("pairwise", *rows, said=[[np.nan], [0.9], [np.nan], [np.nan]])
    soft, hard = decide(given, "pairwise", Policy())
    assert soft.probabilities == [pytest.approx((1 + 0.9 + 0.5) / 3)]
    assert hard.probabilities == [pytest.approx((0 + 0.5 + 0.5) / 3)]
    given = votes("thumbs", (1, 1, 1), (1, 2, 1), said=[[0.6], [np.nan]])
    (up,) = decide(given, "thumbs", Policy())
    assert up.outcome == {"thumb": 1}
    assert up.probabilities == [pytest.approx((0.6 + 1.5) / 3)]


def test_probabilities_of_lists_leave_their_order_alone() -> None:
    rows = ((1, 1, [1, 2, 3]), (1, 2, [1, 2, 3]))
    (plain,) = decide(votes("listwise", *rows), "listwise", Policy())
    said = [[np.nan] * 3, [0.6, 0.7, 0.8]]
    (soft,) = decide(votes("listwise", *rows, said=said), "listwise", Policy())
    assert soft.outcome == plain.outcome
    assert soft.probabilities == pytest.approx([(p + 1.5) / 3 for p in (0.6, 0.7, 0.8)])


def test_a_cycle_of_preferences_is_contested() -> None:
    (decision,) = decided("listwise", (1, 1, [1, 2, 3]), (1, 2, [2, 3, 1]), (1, 3, [3, 1, 2]))
    assert (decision.state, decision.outcome["ranks"]) == ("contested", [1, 1, 1])


def test_a_winner_that_nobody_chose_is_no_tie() -> None:
    """Annotator 9 says the opposite of everybody else, item after item."""
    rows = [
        (item, annotator, (2 if item % 2 else -2) * (-1 if annotator == 9 else 1))
        for item in range(40)
        for annotator in (1, 2, 3, 9)
    ]
    alone = decided("pairwise", *rows, (40, 9, 3), aggregation="dawid_skene", min_judgments=1)[-1]
    assert (alone.state, alone.outcome["strength"]) == ("accepted", -1.0)


def test_a_dead_heat_is_contested_however_low_the_bar() -> None:
    (decision,) = decided("pairwise", (1, 1, 2), (1, 2, -2), min_agreement=0.1)
    assert decision.state == "contested"


@pytest.mark.parametrize(("bar", "state"), [(0.66, "accepted"), (0.67, "contested")])
def test_the_bar_of_agreement(bar: float, state: str) -> None:
    rows = [(1, 1, 1), (1, 2, 1), (1, 3, 0)]
    assert decided("thumbs", *rows, min_agreement=bar)[0].state == state


def test_dawid_skene_believes_the_reliable() -> None:
    """Two who know, and three who guess alike: the many lose where the two have proved better."""
    rng = np.random.default_rng(0)
    rows, truth = [], rng.integers(0, 2, 300)
    for item, right in enumerate(truth):
        noise = int(rng.integers(0, 2))
        votes_of_item = [right, right, noise, int(rng.integers(0, 2)), int(rng.integers(0, 2))]
        rows += [(item, annotator, vote) for annotator, vote in enumerate(votes_of_item)]
    joined = decided("thumbs", *rows, aggregation="dawid_skene")
    shared = decided("thumbs", *rows, aggregation="majority")
    right_by = [
        np.mean([one.outcome["thumb"] == true for one, true in zip(each, truth, strict=True)])
        for each in (shared, joined)
    ]
    assert right_by[1] > 0.98 > right_by[0]


def test_dawid_skene_falls_back_to_shares_when_nothing_can_be_learned() -> None:
    rows = [(1, 1, 2), (1, 2, 2), (1, 3, -1)]
    assert decided("pairwise", *rows, aggregation="dawid_skene") == decided("pairwise", *rows)
