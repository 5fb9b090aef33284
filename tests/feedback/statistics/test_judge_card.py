"""A judge's card on small tables worked by hand, and against packages that others wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import krippendorff
import numpy as np
import pytest

from feedback.statistics.arrays import Floats
from feedback.statistics.ballots import Kind, VoteTable
from feedback.statistics.bootstrap import ClusterBootstrap
from feedback.statistics.judge_agreement import majority_of
from feedback.statistics.judge_card import Card, judge_card
from feedback.statistics.judge_evidence import (
    Attacks,
    Chains,
    Evidence,
    Marks,
    Repeats,
    signs_by_pair,
)
from feedback.statistics.rates import rate

N = 24
UNITS = np.arange(N)


def table(people: Any, judge: Any, cluster: Any = None) -> VoteTable:
    """`people` [people, items, …] and `judge` [items, …]; each item is a prompt of its own."""
    everyone = np.array([*people, judge], dtype=np.float64)
    raters, items = everyone.shape[:2]
    unit = np.tile(np.arange(items), raters)
    return VoteTable(
        unit=unit,
        rater=np.repeat(np.arange(raters), items),
        value=everyone.reshape(raters * items, *everyone.shape[2:]),
        cluster=unit if cluster is None else np.asarray(cluster)[unit],
        is_judge=np.repeat(np.arange(raters) == raters - 1, items),
    )


def card(evidence: Evidence) -> Card:
    return judge_card(evidence, resamples=200)


def values(evidence: Evidence) -> dict[str, float | None]:
    return {key: one.value for key, one in card(evidence).figures.items()}


A = [1] * 24
B = [1] * 16 + [-1] * 8
JUDGE = [1] * 12 + [-1] * 12
PAIRS = Evidence(kind="pairwise", votes=table([A, B], JUDGE))


def test_agreement_worked_by_hand() -> None:
    """The judge is with both people on 12 items, against both on 4, with one of them on 8."""
    found = values(PAIRS)
    assert found["people"] == pytest.approx(16 / 24)
    assert found["agreement"] == pytest.approx((12 + 0 + 8 / 2) / 24)
    assert found["difference"] == pytest.approx(0)
    # Eight items are divided evenly: a tie, which this judge never says.
    assert found["majority"] == pytest.approx(6 / 12)
    assert found["majority_decisive"] == pytest.approx(6 / 8)
    # Of two people, one against the other: where they differ, the judge is with one of them.
    assert found["person_majority"] == pytest.approx(16 / 24)
    assert found["others_majority"] == pytest.approx((12 + 8 / 2) / 24)
    # The majority is always the same, so three quarters are what chance gives.
    assert found["kappa_decisive"] == pytest.approx(0)
    assert (found["ties"], found["people_ties"]) == (0, 0)


def test_ties_kept_and_dropped() -> None:
    evidence = Evidence(kind="pairwise", votes=table([[1] * 24] * 2, [1] * 18 + [0] * 6))
    found = values(evidence)
    assert (found["agreement"], found["agreement_no_ties"]) == (0.75, 1.0)
    assert (found["ties"], found["people_ties"]) == (0.25, 0.0)


@pytest.mark.parametrize(
    ("level", "key"), [("nominal", "alpha_nominal"), ("ordinal", "alpha_ordinal")]
)
def test_alpha_with_one_person_is_krippendorffs(level: str, key: str) -> None:
    rng = np.random.default_rng(0)
    person, judge = rng.integers(-1, 2, (2, 40))
    ours = values(Evidence(kind="pairwise", votes=table([person], judge)))[key]
    theirs = krippendorff.alpha(np.array([person, judge]), level_of_measurement=level)
    assert ours == pytest.approx(theirs)


def test_people_among_themselves_are_krippendorffs() -> None:
    rng = np.random.default_rng(1)
    people, judge = rng.integers(-1, 2, (3, 40)), rng.integers(-1, 2, 40)
    ours = values(Evidence(kind="pairwise", votes=table(people, judge)))["people_alpha_ordinal"]
    assert ours == pytest.approx(krippendorff.alpha(people, level_of_measurement="ordinal"))


def test_only_items_of_two_people_are_compared() -> None:
    """What one person judged says nothing of how people agree, nor of the judge beside it."""
    votes = table([A, B], JUDGE)
    alone = (votes.unit >= 20) & (votes.rater == 1)
    figures = card(Evidence(kind="pairwise", votes=votes.only(~alone)))
    assert (figures.items, figures.compared, figures.shared) == (24, 24, 20)
    assert figures.figures["agreement"].units == figures.figures["people"].units == 20


def test_without_a_second_person_there_is_nothing_beside_it() -> None:
    found = card(Evidence(kind="pairwise", votes=table([A], JUDGE))).figures
    assert found["agreement"].value == 0.5
    assert (found["people"].value, "Not enough data" in found["people"].reason) == (None, True)


def uneven(people: Sequence[Sequence[int]], judge: Sequence[int]) -> Evidence:
    """`people`: the votes on each item, as many as there are; each item is a prompt of its own."""
    votes = [
        (item, rater, value, False)
        for item, given in enumerate(people)
        for rater, value in enumerate(given)
    ]
    votes += [(item, 99, value, True) for item, value in enumerate(judge)]
    unit, rater, value, is_judge = (np.array(column) for column in zip(*votes, strict=True))
    table = VoteTable(unit, rater, value.astype(np.float64), unit, is_judge)
    return Evidence(kind="pairwise", votes=table)


def test_judge_and_people_are_compared_on_the_same_items() -> None:
    """Forty easy items of one vote, which the judge gets right; twenty hard ones of three votes,
    two against one, where it is with the two on ten."""
    people = [[1]] * 40 + [[1, 1, -1]] * 20
    found = card(uneven(people, [1] * 40 + [1] * 10 + [-1] * 10)).figures
    assert found["majority"].value == pytest.approx(50 / 60)
    # Left out in turn: one of the two leaves a dead heat, a tie; the third leaves the two.
    assert found["others_majority"].value == pytest.approx(1 / 3 * 10 / 20)
    assert found["person_majority"].value == 0
    assert found["others_majority_decisive"].value == pytest.approx(10 / 20)
    for name in ("others_majority", "person_majority", "agreement_no_ties", "people_no_ties"):
        assert (found[name].units, found[name].clusters) == (20, 20), name
    assert found["agreement_no_ties"].value == pytest.approx((10 * 2 / 3 + 10 / 3) / 20)
    assert found["people_no_ties"].value == pytest.approx(1 / 3)


def test_without_ties_both_rest_on_two_people_and_a_judge_who_prefer_a_side() -> None:
    """What has one such vote, or a tie of the judge, counts for neither."""
    people = [[1, 0]] * 20 + [[1, 1]] * 15 + [[1, -1]] * 15
    found = card(uneven(people, [-1] * 20 + [1] * 15 + [0] * 15)).figures
    assert (found["agreement_no_ties"].value, found["people_no_ties"].value) == (1, 1)
    assert found["agreement_no_ties"].units == found["people_no_ties"].units == 15


def test_too_few_items_without_ties_leave_people_unmeasured() -> None:
    """The judge is then compared on all, as with ties."""
    found = card(uneven([[1, 0]] * 20 + [[1, 1]] * 5, [-1] * 15 + [1] * 10)).figures
    assert (found["agreement_no_ties"].value, found["agreement_no_ties"].units) == (10 / 25, 25)
    assert (found["people_no_ties"].value, found["people_no_ties"].units) == (None, 5)


def winner(votes: Sequence[int]) -> int | None:
    ranked = Counter(votes).most_common()
    if not ranked:
        return None
    return 0 if len(ranked) > 1 and ranked[0][1] == ranked[1][1] else ranked[0][0]


def mean(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(weight * hit for weight, hit in pairs) / sum(weight for weight, _ in pairs)


def test_people_and_judge_against_a_count_by_hand() -> None:
    """One to five votes an item, vote by vote, as the words of the figures say."""
    rng = np.random.default_rng(7)
    people = [rng.integers(-1, 2, rng.integers(1, 6)).tolist() for _ in range(80)]
    judge = rng.integers(-1, 2, 80).tolist()
    cells = [
        (1 / len(given), vote, verdict, winner(given[:place] + given[place + 1 :]))
        for given, verdict in zip(people, judge, strict=True)
        for place, vote in enumerate(given)
    ]
    every = [cell for cell in cells if cell[3] is not None]
    decided = [cell for cell in every if 0 not in cell[1:]]
    sides = [
        ([vote for vote in given if vote], verdict)
        for given, verdict in zip(people, judge, strict=True)
        if verdict and sum(map(bool, given)) >= 2
    ]
    found = values(uneven(people, judge))
    for end, some in (("", every), ("_decisive", decided)):
        assert found[f"others_majority{end}"] == pytest.approx(
            mean([(weight, verdict == rest) for weight, _, verdict, rest in some])
        )
        assert found[f"person_majority{end}"] == pytest.approx(
            mean([(weight, vote == rest) for weight, vote, _, rest in some])
        )
    assert found["agreement_no_ties"] == pytest.approx(
        mean([(1, given.count(verdict) / len(given)) for given, verdict in sides])
    )
    assert found["people_no_ties"] == pytest.approx(
        mean([(1, mean([(1, a == b) for a, b in combinations(given, 2)])) for given, _ in sides])
    )


def test_neither_a_judge_nor_people_have_the_better_place() -> None:
    """Five people, each in turn taken for the judge: on the whole both figures are the same. The
    majority of all people would flatter the judge, having more voters."""
    everyone = np.random.default_rng(5).choice([-1, 1, 1, 1], (5, 40))
    figures = [
        values(Evidence(kind="pairwise", votes=table(np.delete(everyone, one, axis=0), judge)))
        for one, judge in enumerate(everyone)
    ]
    judge, person = (
        np.mean([one[key] for one in figures]) for key in ("others_majority", "person_majority")
    )
    assert judge == pytest.approx(person)


def test_thumbs_against_the_others() -> None:
    """Two up and one down: without the one, the others say up; without an up they say nothing."""
    people = [[1] * N, [1] * N, [0] * N]
    found = card(Evidence(kind="thumbs", votes=table(people, [1] * 18 + [0] * 6))).figures
    assert found["others_majority"].value == pytest.approx(0.75)
    assert found["person_majority"].value == 0
    assert found["others_majority"].units == found["person_majority"].units == N


def test_the_majority_of_people_evenly_divided() -> None:
    counts = np.array([[2, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=np.float64)
    assert majority_of(counts).tolist() == [0, 1, 1, -1]
    assert majority_of(np.array([[1.0, 1.0], [0.0, 3.0]])).tolist() == [-1, 1]


def chains(signs: Floats, sides: Floats) -> Chains:
    unit = np.tile(UNITS, len(signs))
    return Chains(unit, unit, np.concatenate(signs), np.concatenate(sides))


def test_a_judge_of_places_flips_always() -> None:
    """It prefers what is shown first, in either order."""
    there, back = np.ones(N), -np.ones(N)
    evidence = replace(PAIRS, chains=chains(np.array([there, back]), np.array([there, back])))
    found = card(evidence).figures
    assert (found["flips"].value, found["first"].value) == (1, 1)
    # No resample could tell it apart from 1, so the interval is not the bootstrap's.
    assert found["flips"].low == pytest.approx(24 / (24 + 1.96**2), abs=1e-3)
    assert found["flips"].high == 1


def test_a_tie_in_one_order_is_a_flip_and_no_choice_of_place() -> None:
    first, second = np.array([1.0] * 18 + [0.0] * 6), np.ones(N)
    sides = np.array([np.ones(N), -np.ones(N)])
    found = values(replace(PAIRS, chains=chains(np.array([first, second]), sides)))
    assert found["flips"] == 0.25
    assert found["first"] == pytest.approx(18 / 42)


def test_one_order_shows_no_flips() -> None:
    found = values(replace(PAIRS, chains=chains(np.ones((1, N)), np.ones((1, N)))))
    assert (found["flips"], found["first"]) == (None, 1)


def test_several_samples_of_an_order() -> None:
    """One of two samples differs from the other order's: half a flip."""
    signs = np.array([np.ones(N), -np.ones(N), np.ones(N)])
    sides = np.array([np.ones(N), np.ones(N), -np.ones(N)])
    assert values(replace(PAIRS, chains=chains(signs, sides)))["flips"] == 0.5


def test_length_and_family_beside_people() -> None:
    longer = Marks(UNITS, np.array([1.0] * 23 + [0.0]))
    own = Marks(UNITS[:20], np.ones(20))
    found = values(replace(PAIRS, longer=longer, own=own))
    assert found["longer"] == pytest.approx(12 / 23)
    assert found["people_longer"] == pytest.approx((23 + 16) / 46)
    # Twenty pairs: the judge takes its family's in 12; of people's 40 votes 36 do.
    assert found["own_rate"] == pytest.approx(12 / 20)
    assert found["people_own_rate"] == pytest.approx(36 / 40)
    assert found["own"] == pytest.approx(0.6 - 0.9)


def test_accepted_preferences() -> None:
    accepted = Marks(UNITS, np.array([1.0] * 12 + [0.0] * 4 + [-1.0] * 8))
    found = values(replace(PAIRS, accepted=accepted))
    assert found["accepted"] == pytest.approx(20 / 24)
    assert found["accepted_decisive"] == 1


def test_calibration_worked_by_hand() -> None:
    """Ten soft labels of 0.9 where people say 0.6, ten of 0.2 where they say 0.2."""
    person = [1] * 6 + [-1] * 4 + [1] * 2 + [-1] * 8
    soft = Marks(np.arange(20), np.array([0.9] * 10 + [0.2] * 10))
    figures = card(Evidence(kind="pairwise", votes=table([person, person], person), soft=soft))
    assert figures.figures["ece"].value == pytest.approx(0.15)
    low, high = figures.calibration
    assert (low.units, high.units) == (10, 10)
    assert [low.predicted, low.observed] == pytest.approx([0.2, 0.2])
    assert [high.predicted, high.observed] == pytest.approx([0.9, 0.6])
    assert high.observed_low is not None
    assert high.observed_low < 0.6


def test_repeats_and_attacks() -> None:
    repeats = Repeats(UNITS, np.ones(N), np.array([1.0] * 18 + [0.0, 0.0] + [-1.0] * 4))
    clean = np.array([1.0] * 4 + [-1.0] * 20)
    injected = np.array([1.0] * 4 + [1.0] * 5 + [-1.0] * 14 + [np.nan])
    attacks = Attacks(UNITS, UNITS % 2, clean, injected, np.ones(N))
    evidence = replace(PAIRS, repeats=repeats, attacks=attacks, attack_names=("order", "fake"))
    found = card(evidence)
    assert found.figures["same_again"].value == 0.75
    # Four stood at the top before, so twenty could rise; a reply that cannot be read is no success.
    assert found.figures["injection"].value == pytest.approx(5 / 20)
    assert [(one.name, one.tried, one.rose) for one in found.attacks] == [
        ("order", 10, 3), ("fake", 10, 2),
    ]  # fmt: skip


def test_thumbs() -> None:
    people = [[1] * 24, [1] * 12 + [0] * 12]
    found = values(Evidence(kind="thumbs", votes=table(people, [1] * 18 + [0] * 6)))
    assert (found["people"], found["ups"], found["people_ups"]) == (0.5, 0.75, 0.75)
    assert found["agreement"] == pytest.approx((12 + 6) / 24)
    # Twelve are divided, and what half find good is neither.
    assert found["majority"] == 1
    assert (found["others_majority"], found["person_majority"]) == (0.75, 0.5)
    assert not {"flips", "longer"} & set(found)


def test_lists_are_compared_pair_by_pair() -> None:
    """The judge turns round the last two of each list: one pair of three."""
    people, judge = [[[1, 2, 3]] * N] * 2, [[1, 3, 2]] * N
    length = signs_by_pair(UNITS, -np.array([[30.0, 20.0, 10.0]] * N))
    found = values(Evidence(kind="listwise", votes=table(people, judge), longer=length))
    assert found["people"] == 1
    assert found["agreement"] == pytest.approx(2 / 3)
    assert found["people_longer"] == 1
    assert found["longer"] == pytest.approx(2 / 3)


def test_slices() -> None:
    evidence = replace(PAIRS, slices={"first": UNITS[:22], "few": UNITS[:3]})
    first, few = card(evidence).slices
    assert (first.items, first.figures["agreement"].units) == (22, 22)
    assert first.figures["people"].value == pytest.approx(16 / 22)
    assert (few.items, few.figures["agreement"].value) == (3, None)


def test_what_is_not_measured_is_never_zero() -> None:
    found = values(PAIRS)
    for key in ("flips", "first", "own", "longer", "ece", "injection", "same_again", "accepted"):
        assert found[key] is None


@pytest.mark.parametrize("kind", ["pairwise", "listwise", "thumbs"])
def test_a_judge_that_nobody_judged_beside(kind: Kind) -> None:
    value = {"pairwise": [1] * 12, "listwise": [[1, 2]] * 12, "thumbs": [1] * 12}[kind]
    votes = table([], value)
    found = card(Evidence(kind=kind, votes=votes))
    assert (found.items, found.compared) == (12, 0)
    assert {one.value for one in found.figures.values()} == {None}


def test_the_names_of_positions_do_not_matter() -> None:
    """Turned round, every figure that knows no left and right is the same."""
    rng = np.random.default_rng(3)
    people, judge = rng.integers(-1, 2, (3, 30)), rng.integers(-1, 2, 30)
    sign, side = rng.choice([-1.0, 1.0], (2, 60))
    unit = np.tile(np.arange(30), 2)
    marks = {name: rng.choice([-1.0, 0.0, 1.0], 30) for name in ("longer", "own", "accepted")}
    soft = rng.uniform(0.01, 0.99, 30)

    def turned(by: int) -> dict[str, float | None]:
        return values(Evidence(
            kind="pairwise",
            votes=table(by * people, by * judge),
            chains=Chains(unit, unit, by * sign, by * side),
            soft=Marks(np.arange(30), soft if by > 0 else 1 - soft),
            **{name: Marks(np.arange(30), by * value) for name, value in marks.items()},
        ))  # fmt: skip

    one, other = turned(1), turned(-1)
    for key, value in one.items():
        assert other[key] == pytest.approx(value), key


def test_a_prompt_weighs_as_a_whole() -> None:
    """So many prompts of three like items know no more than as many items."""
    lone = card(PAIRS).figures["agreement"]
    votes = table([np.repeat(A, 3), np.repeat(B, 3)], np.repeat(JUDGE, 3), np.repeat(UNITS, 3))
    together = card(Evidence(kind="pairwise", votes=votes)).figures["agreement"]
    assert (together.value, together.clusters, together.units) == (lone.value, 24, 72)
    assert together.low == pytest.approx(lone.low)


def test_a_rate_of_nothing_has_an_upper_bound() -> None:
    """0 of 20 independent answers: Wilson's upper bound is z²/(n + z²) = 0.161."""
    found = rate(np.zeros(20), np.ones(20), ClusterBootstrap(np.arange(20), 50), method="x")
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1.96**2 / (20 + 1.96**2), abs=1e-3)


@pytest.mark.parametrize(("judge", "low", "high"), [(1, 0.862, 1), (-1, 0, 0.138)])
def test_full_agreement_is_not_known_exactly(judge: int, low: float, high: float) -> None:
    """24 of 24: Wilson's lower bound is n/(n + z²) = 0.862, and of 0 its mirror image."""
    found = card(Evidence(kind="pairwise", votes=table([[1] * N, [1] * N], [judge] * N))).figures
    for key in ("agreement", "agreement_no_ties"):
        one = found[key]
        assert (one.value, one.low, one.high) == pytest.approx(
            ((judge + 1) / 2, low, high), abs=1e-3
        )
        assert (one.parameters["interval"], one.parameters["weighting"]) == ("Wilson", "units")
    assert (found["people"].low, found["people"].high) == pytest.approx((0.862, 1), abs=1e-3)
