"""Agreement with what the others decide without one, worked by hand and checked by loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from feedback.statistics.arrays import Floats, Integers
from feedback.statistics.consensus import (
    NO_CONSENSUS,
    Comparisons,
    agreement,
    leave_one_out,
    with_the_others,
)

WORSE, TIE, BETTER = 0, 1, 2


def test_leave_one_out_by_hand() -> None:
    """Unit 0: better, better, worse. Unit 1: better, worse. Unit 2: tie, alone.
    Unit 3: better, worse, tie: whoever is left out, the others are split."""
    unit = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3])
    category = np.array([2, 2, 0, 2, 0, 1, 2, 0, 1])
    found = leave_one_out(unit, category, np.ones(9))
    none = NO_CONSENSUS
    assert found.tolist() == [none, none, 2, 0, 2, none, none, none, none]


def test_weights_decide_the_consensus_and_nought_has_no_say() -> None:
    unit, category = np.zeros(4, dtype=np.int64), np.array([2, 0, 0, 2])
    weight = np.array([3.0, 1.0, 1.0, 0.0])
    found = leave_one_out(unit, category, weight)
    # Without the first, two worse stand against a better that does not count.
    assert found.tolist() == [0, 2, 2, 2]


@given(seed=st.integers(0, 10_000))
def test_leave_one_out_is_what_a_loop_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit, category = rng.integers(0, 8, 40), rng.integers(0, 3, 40)
    weight = rng.choice([0.0, 0.5, 1.0], 40)
    found = leave_one_out(unit, category, weight)
    for place in range(40):
        others = (unit == unit[place]) & (np.arange(40) != place)
        votes = [weight[others & (category == one)].sum() for one in range(3)]
        best = [one for one in range(3) if votes[one] == max(votes)]
        expected = best[0] if max(votes) > 0 and len(best) == 1 else NO_CONSENSUS
        assert found[place] == expected


def comparisons(own: list[int], other: list[int], **columns: Integers) -> Comparisons:
    size, nothing = len(own), np.zeros(len(own), dtype=np.int64)
    return Comparisons(
        rater=nothing,
        cluster=columns.get("cluster", np.arange(size)),
        own=np.array(own),
        other=np.array(other),
        weight=np.ones(size),
        stratum=columns.get("stratum", nothing),
    )


def test_kappa_and_chance_by_hand() -> None:
    """20 better-better, 5 better-worse, 10 worse-better, 15 worse-worse (Cohen's 0.4)."""
    own = [BETTER] * 25 + [WORSE] * 25
    other = [BETTER] * 20 + [WORSE] * 5 + [BETTER] * 10 + [WORSE] * 15
    found = agreement(comparisons(own, other), raters=1)
    assert found.share.value[0] == pytest.approx(0.7)
    assert found.chance[0] == pytest.approx(0.5)
    assert found.kappa.value[0] == pytest.approx(0.4)
    assert found.opposed.value[0] == pytest.approx(0.3)
    # The asymptotic standard error (Fleiss, Cohen and Everitt) of this table is 0.12649.
    reach = (found.kappa.high[0] - found.kappa.low[0]) / 2
    assert reach / stats.t.ppf(0.975, 49) == pytest.approx(0.1265, abs=0.006)


def test_strata_have_chances_of_their_own() -> None:
    """One kind is always better, the other always worse: no agreement beyond chance at all,
    though pooled marginals would make it perfect."""
    own = [BETTER] * 20 + [WORSE] * 20
    stratum = np.repeat([0, 1], 20)
    found = agreement(comparisons(own, own, stratum=stratum), raters=1)
    assert (found.share.value[0], found.chance[0]) == (1, 1)
    assert np.isnan(found.kappa.value[0])
    assert agreement(comparisons(own, own), raters=1).kappa.value[0] == 1


def test_the_jackknife_is_what_a_loop_finds() -> None:
    rng = np.random.default_rng(3)
    own, other = rng.integers(0, 3, 80), rng.integers(0, 3, 80)
    cluster = rng.integers(0, 9, 80)
    other = np.where(rng.random(80) < 0.6, own, other)
    found = agreement(comparisons(own.tolist(), other.tolist(), cluster=cluster), raters=1)
    without = [kappa(own[cluster != one], other[cluster != one]) for one in range(9)]
    error = np.sqrt(8 / 9 * ((np.array(without) - np.mean(without)) ** 2).sum())
    assert found.kappa.value[0] == pytest.approx(kappa(own, other))
    reach = stats.t.ppf(0.975, 8) * error
    assert found.kappa.low[0] == pytest.approx(kappa(own, other) - reach)


def kappa(own: Integers, other: Integers) -> float:
    observed = (own == other).mean()
    chance = sum((own == one).mean() * (other == one).mean() for one in range(3))
    return float((observed - chance) / (1 - chance))


def compared(value: Floats, rater: Integers, *, is_thumbs: bool = False) -> Comparisons:
    unit = np.repeat(np.arange(len(value) // 3), 3)
    return with_the_others(unit, rater, unit, value, np.ones(len(value)), is_thumbs=is_thumbs)


def test_a_list_counts_once_by_its_pairs() -> None:
    """Three rankings of three; the third swaps its last two, which the others agree about."""
    ranks = np.array([[1.0, 2, 3], [1, 2, 3], [1, 3, 2]])
    rows = compared(ranks, np.array([0, 1, 2]))
    third = rows.rater == 2
    assert third.sum() == 3
    assert rows.weight[third].sum() == pytest.approx(1)
    assert (rows.own == rows.other)[third].tolist() == [True, True, False]
    # The first has a consensus against them only where the second and third agree.
    assert (rows.rater == 0).sum() == 2
    assert rows.weight[rows.rater == 0].tolist() == [0.5, 0.5]


def test_places_beyond_a_list_are_no_pairs() -> None:
    ranks = np.array([[1, 2, np.nan]] * 3)
    assert len(compared(ranks, np.array([0, 1, 2])).rater) == 3


@given(seed=st.integers(0, 10_000))
def test_naming_the_positions_otherwise_changes_nothing(seed: int) -> None:
    """Turning every pair round (position 0 is now 1) leaves agreement and its intervals."""
    rng = np.random.default_rng(seed)
    value = rng.integers(-3, 4, 90).astype(np.float64)
    rater = np.tile(np.arange(3), 30)
    first = agreement(compared(value, rater), raters=3)
    turned = agreement(compared(-value, rater), raters=3)
    swapped = agreement(compared(value, np.array([2, 0, 1])[rater]), raters=3)
    for name in ("share", "kappa", "opposed"):
        for part in ("value", "low", "high"):
            mine = getattr(getattr(first, name), part)
            assert mine == pytest.approx(getattr(getattr(turned, name), part), nan_ok=True)
            theirs = getattr(getattr(swapped, name), part)
            assert mine == pytest.approx(theirs[[2, 0, 1]], nan_ok=True)


def test_a_guesser_agrees_by_chance_and_an_expert_beyond_it() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(-1, 2, 400)
    expert, peer = truth.copy(), truth.copy()
    guess = rng.integers(-1, 2, 400)
    value = np.stack([expert, peer, guess], axis=1).ravel().astype(np.float64)
    found = agreement(compared(value, np.tile(np.arange(3), 400)), raters=3)
    assert found.kappa.low[2] < 0 < found.kappa.high[2]
    assert found.kappa.high[2] < 0.15
    assert found.kappa.low[0] > 0.5


def test_perfect_agreement_in_few_answers_is_not_certain() -> None:
    """Ten of ten, half of them either way: Wilson's 0.722 of the share is 0.445 as kappa."""
    own = [BETTER] * 5 + [WORSE] * 5
    found = agreement(comparisons(own, own), raters=1)
    assert found.kappa.value[0] == 1
    assert found.kappa.low[0] == pytest.approx((0.7224672 - 0.5) / 0.5)
    assert found.kappa.high[0] == pytest.approx(1)
