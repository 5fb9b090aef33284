"""Intervals of many raters at once, against hand-worked values and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from feedback.statistics.arrays import Floats, Integers
from feedback.statistics.intervals import Figures, clustered_shares, medians


def shares_of_one(hit: list[int], cluster: list[int] | None = None) -> Figures:
    places = np.array(cluster if cluster is not None else range(len(hit)), dtype=np.int64)
    rater = np.zeros(len(hit), dtype=np.int64)
    return clustered_shares(rater, places, np.array(hit, dtype=np.float64), raters=1)


@pytest.mark.parametrize(("hits", "answers"), [(31, 50), (0, 12), (12, 12), (1, 200), (199, 200)])
def test_wilson_is_scipys(hits: int, answers: int) -> None:
    found = shares_of_one([1] * hits + [0] * (answers - hits))
    expected = stats.binomtest(hits, answers).proportion_ci(method="wilson")
    assert found.value[0] == pytest.approx(hits / answers)
    assert (found.low[0], found.high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_too_few_answers_give_no_number() -> None:
    found = shares_of_one([1] * 9)
    assert np.isnan([found.value[0], found.low[0], found.high[0]]).all()
    assert (found.answers[0], found.clusters[0]) == (9, 9)
    assert shares_of_one([1] * 10).value[0] == 1


@pytest.mark.parametrize("responses", range(2, 10))
def test_ten_lists_are_ten_answers_however_their_pairs_round(responses: int) -> None:
    pairs = responses * (responses - 1) // 2
    rater = np.zeros(10 * pairs, dtype=np.int64)
    hit = np.tile((np.arange(pairs) % 2).astype(np.float64), 10)
    weight = np.full(10 * pairs, 1 / pairs)
    found = clustered_shares(rater, np.repeat(np.arange(10), pairs), hit, raters=1, weight=weight)
    assert found.value[0] == pytest.approx(pairs // 2 / pairs)


def test_answers_on_one_prompt_alone_give_no_number() -> None:
    assert np.isnan(shares_of_one([1, 0] * 10, [0] * 20).value[0])


def test_the_design_effect_worked_by_hand() -> None:
    """Four prompts of five answers; hits 5, 4, 1, 0: p = 1/2, deviations 2.5, 1.5, -1.5, -2.5.

    Between clusters: 4/3 * (6.25 + 2.25 + 2.25 + 6.25) / 400 = 0.056667; of 20 independent
    answers: 0.25 / 20 = 0.0125; deff = 4.5333, so 20 answers are worth 4.4118, and t with 3
    degrees of freedom is 3.18245. Wilson: squared = 2.29568, centre = 1/2,
    half = 3.18245 * sqrt(0.0566667 + 0.130087) / 3.29568 = 0.417303.
    """
    hit = [1] * 5 + [1] * 4 + [0] + [1] + [0] * 4 + [0] * 5
    found = shares_of_one(hit, [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5)
    assert found.low[0] == pytest.approx(0.5 - 0.417303, abs=1e-5)
    assert found.high[0] == pytest.approx(0.5 + 0.417303, abs=1e-5)


def test_where_all_are_alike_a_cluster_is_one_answer() -> None:
    """Kish: 20 answers in four clusters of five are worth four."""
    found = shares_of_one([1] * 20, [place // 5 for place in range(20)])
    critical = stats.t.ppf(0.975, 3) ** 2
    assert found.high[0] == 1
    assert found.low[0] == pytest.approx(1 / (1 + critical / 4))


def test_spread_out_clusters_never_narrow_an_interval() -> None:
    """Each prompt has one hit and one miss: less spread than chance, and still no narrower."""
    paired = shares_of_one([1, 0] * 30, [place // 2 for place in range(60)])
    alone = shares_of_one([1, 0] * 30)
    assert paired.low[0] <= alone.low[0]
    assert paired.high[0] >= alone.high[0]


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(clustered: bool) -> None:
    """2,000 raters of 60 answers; where clustered, the 12 prompts differ in difficulty."""
    rng = np.random.default_rng(7)
    raters, prompts, each = 2_000, 12, 5
    difficulty = rng.beta(3, 2, size=(raters, prompts)) if clustered else np.full((1, 1), 0.6)
    chance = np.broadcast_to(difficulty, (raters, prompts))[:, :, None]
    hit = (rng.random((raters, prompts, each)) < chance).astype(np.float64)
    rater = np.repeat(np.arange(raters), prompts * each)
    prompt = np.tile(np.repeat(np.arange(prompts), each), raters)
    found = clustered_shares(rater, prompt, hit.ravel(), raters=raters)
    covered = ((found.low <= 0.6) & (found.high >= 0.6)).mean()
    assert 0.935 < covered < 0.995
    plain = clustered_shares(rater, np.arange(len(rater)), hit.ravel(), raters=raters)
    naive = ((plain.low <= 0.6) & (plain.high >= 0.6)).mean()
    assert not clustered or naive < 0.9


@given(seed=st.integers(0, 10_000))
def test_raters_do_not_touch_each_other(seed: int) -> None:
    """Another order of the rows, and other raters beside, change nobody's figures."""
    rng = np.random.default_rng(seed)
    rater, cluster = rng.integers(0, 4, 120), rng.integers(0, 15, 120)
    hit = rng.integers(0, 2, 120).astype(np.float64)
    whole = clustered_shares(rater, cluster, hit, raters=4)
    order = rng.permutation(120)
    shuffled = clustered_shares(rater[order], cluster[order], hit[order], raters=4)
    mine = rater == 2
    alone = clustered_shares(rater[mine], cluster[mine], hit[mine], raters=4)
    for part in ("value", "low", "high"):
        assert getattr(whole, part) == pytest.approx(getattr(shuffled, part), nan_ok=True)
        assert getattr(whole, part)[2] == pytest.approx(getattr(alone, part)[2], nan_ok=True)


def ranks_by_scipy(values: Floats) -> tuple[float, float]:
    found = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    return float(found.low), float(found.high)


@pytest.mark.parametrize("answers", [10, 11, 17, 50, 121])
def test_medians_and_their_intervals(answers: int) -> None:
    values = np.random.default_rng(answers).gamma(2, 10, answers)
    rater: Integers = np.ones(answers, dtype=np.int64)
    found = medians(rater, values, raters=3)
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    told = (found.lower_quartile[1], found.median.value[1], found.upper_quartile[1])
    assert told == pytest.approx(tuple(quartiles))
    assert (found.median.low[1], found.median.high[1]) == pytest.approx(ranks_by_scipy(values))
    assert np.isnan(found.median.value[[0, 2]]).all()


def test_the_median_of_ten_lies_between_the_second_and_the_ninth() -> None:
    """P(B <= 1) of ten fair coins is 11/1024, P(B <= 2) is 56/1024: so the second, by hand."""
    found = medians(np.zeros(10, dtype=np.int64), np.arange(1.0, 11.0), raters=1)
    assert (found.median.low[0], found.median.value[0], found.median.high[0]) == (2, 5.5, 9)
