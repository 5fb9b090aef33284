"""All figures of labelers: by hand, under relabeling, and fast enough for a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from feedback.statistics.arrays import Integers
from feedback.statistics.labeler_quality import (
    AnswerTable,
    ProbeTable,
    Quality,
    Work,
    labeler_quality,
)


def pairs(strengths: list[float], *, first: list[int] | None = None, **fields: Any) -> AnswerTable:
    """One labeler's answers; `first[i]`: which position was shown first."""
    value = np.array(strengths, dtype=np.float64)
    size = len(value)
    shown_first = np.array(first if first is not None else [0] * size)
    table = AnswerTable(
        kind="pairwise",
        item=np.arange(size),
        prompt=np.arange(size),
        rater=np.zeros(size, dtype=np.int64),
        value=value,
        shown=np.where(shown_first == 0, value, -value),
        both_bad=np.zeros(size, dtype=np.bool_),
        moment=np.arange(size),
        weight=np.ones(size),
    )
    return replace(table, **fields)


def quality(*tables: AnswerTable, raters: int = 1, **fields: Any) -> Quality:
    return labeler_quality(Work(raters=raters, answers=tables, **fields))


def test_side_bias_counts_preferences_only() -> None:
    """Six of eight preferences are for the first shown; four ties do not count."""
    table = pairs([2, 1, -3, 1, 2, 3, -1, 1] + [0] * 4, first=[0, 0, 1, 0, 0, 1, 0, 0] + [0] * 4)
    doubled = replace(table, item=np.arange(12))
    both = quality(doubled, replace(doubled, item=np.arange(12, 24)))
    assert both.first_side.value[0] == pytest.approx(6 / 8)
    assert both.first_side.answers[0] == 16
    assert both.ties.value[0] == pytest.approx(4 / 12)


def test_swapping_the_sides_turns_the_bias_round() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 50)
    strengths = rng.integers(-3, 4, 50).astype(np.float64)
    table = pairs(strengths.tolist(), first=first.tolist())
    swapped = pairs(strengths.tolist(), first=(1 - first).tolist())
    renamed = pairs((-strengths).tolist(), first=(1 - first).tolist())
    mine = quality(table).first_side
    other = quality(swapped).first_side
    assert other.value[0] == pytest.approx(1 - mine.value[0])
    assert (other.low[0], other.high[0]) == pytest.approx((1 - mine.high[0], 1 - mine.low[0]))
    # Which response is called the first in the data says nothing of sides.
    assert quality(renamed).first_side.value[0] == mine.value[0]


def test_lists_have_sides_too() -> None:
    """Ranked as shown: every pair favours the earlier one. Each list counts once."""
    shown = np.array([[1.0, 2, 3]] * 12)
    table = pairs([0] * 12, kind="listwise", value=shown, shown=shown)
    found = quality(table).first_side
    assert (found.value[0], found.answers[0]) == (1, 12)


def test_both_bad_and_thumbs() -> None:
    bad = np.array([True] * 3 + [False] * 9)
    table = pairs([0.0] * 3 + [1.0] * 9, both_bad=bad)
    ups = pairs([1.0] * 8 + [0.0] * 4, kind="thumbs")
    found = quality(table, replace(ups, shown=ups.value))
    assert found.both_bad.value[0] == pytest.approx(0.25)
    assert found.ups.value[0] == pytest.approx(8 / 12)
    assert found.first_side.answers[0] == 9


def probes(first: list[int], second: list[int], swapped: bool = True) -> ProbeTable:
    size = len(first)
    return ProbeTable(
        kind="pairwise",
        item=np.arange(size),
        rater=np.zeros(size, dtype=np.int64),
        first=np.array(first, dtype=np.float64),
        second=np.array(second, dtype=np.float64),
        was_swapped=np.full(size, swapped),
    )


def test_probes_by_hand() -> None:
    """Of 16: eight the same response, four another one, two tie twice, two tie once."""
    table = probes([2] * 12 + [0] * 4, [1] * 8 + [-2] * 4 + [0, 0, 1, -1])
    found = labeler_quality(Work(raters=1, probes=[table]))
    assert found.same_again.share.value[0] == pytest.approx(10 / 16)
    assert found.flips.value[0] == pytest.approx(4 / 12)
    still = labeler_quality(Work(raters=1, probes=[replace(table, was_swapped=table.item < 0)]))
    assert still.flips.answers[0] == 0


def test_who_follows_the_side_always_flips() -> None:
    found = labeler_quality(Work(raters=1, probes=[probes([1, -1] * 10, [-1, 1] * 10)]))
    assert (found.flips.value[0], found.same_again.share.value[0]) == (1, 0)
    assert found.same_again.kappa.value[0] == pytest.approx(-1)


def test_gold_speed_and_skips() -> None:
    found = labeler_quality(
        Work(
            raters=2,
            gold_rater=np.repeat([0, 1], [12, 3]),
            gold_prompt=np.arange(15),
            gold_right=np.array([1.0] * 9 + [0.0] * 3 + [1.0] * 3),
            timed_rater=np.zeros(11, dtype=np.int64),
            seconds=np.arange(11.0),
            skipped=np.array([5, 0]),
            offered=np.array([20, 0]),
        )
    )
    assert found.gold.value[0] == 0.75
    assert np.isnan(found.gold.value[1])
    assert found.gold.answers.tolist() == [12, 3]
    assert found.seconds.median.value[0] == 5
    assert found.skips.value[0] == 0.25
    assert np.isnan(found.skips.value[1])


def test_nobody() -> None:
    assert labeler_quality(Work(raters=0)).gold.value.shape == (0,)


def crowd(items: int, raters: int, seed: int = 0) -> AnswerTable:
    """Three of the raters answer each item; rater 0 guesses, rater 1 always takes the first."""
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(items), 3)
    rater = np.argsort(rng.random((items, raters)), axis=1)[:, :3].ravel()
    truth = rng.integers(-1, 2, items)[item]
    value = np.where(rng.random(len(item)) < 0.7, truth, rng.integers(-1, 2, len(item)))
    value = np.where(rater == 0, rng.integers(-1, 2, len(item)), value)
    first: Integers = rng.integers(0, 2, len(item))
    value = np.where(rater == 1, 1 - 2 * first, value)
    return replace(
        pairs(value.astype(np.float64).tolist(), first=first.tolist()),
        item=item, prompt=item // 4, rater=rater,
    )  # fmt: skip


def test_the_odd_ones_stand_out() -> None:
    found = quality(crowd(2_000, 12), raters=12)
    assert found.others.kappa.high[0] < 0.2 < found.others.kappa.low[2:].min()
    assert found.first_side.low[1] == pytest.approx(1, abs=0.02)
    assert found.first_side.low[2:].max() < 0.55


def test_permuting_the_labelers_permutes_the_figures() -> None:
    table = crowd(400, 8)
    order = np.array([3, 1, 7, 0, 5, 2, 6, 4])
    mine = quality(table, raters=8)
    theirs = quality(replace(table, rater=order[table.rater]), raters=8)
    for one, other in (
        (mine.others.kappa, theirs.others.kappa),
        (mine.first_side, theirs.first_side),
        (mine.lines.share, theirs.lines.share),
    ):
        assert one.value == pytest.approx(other.value[order], nan_ok=True)
        assert one.low == pytest.approx(other.low[order], nan_ok=True)
