"""Every published reference value must come out, and free-standing packages must agree."""

import json
from pathlib import Path
from typing import Any

import evalica
import krippendorff
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from feedback.statistics.arrays import Floats, count_votes
from feedback.statistics.coefficients import (
    Level,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
    percent_agreement,
)
from feedback.statistics.raters import cohen_kappa, cross_table, list_agreement

VECTORS = Path(__file__).parents[2] / "data" / "agreement_vectors.json"


def vector(name: str) -> tuple[Any, dict[str, Any]]:
    found = next(v for v in json.loads(VECTORS.read_text())["vectors"] if v["id"] == name)
    return found["data"], found["expected"]


def counts_of(rows: list[list[float | None]]) -> tuple[Floats, Floats]:
    """Count a raters x units table with holes; also return the values of the categories."""
    table = np.array(rows, dtype=np.float64)
    rater, unit = np.nonzero(~np.isnan(table))
    values, category = np.unique(table[rater, unit], return_inverse=True)
    counts = count_votes(unit, category, units=table.shape[1], categories=len(values))
    return counts, values


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
def test_alpha_krippendorff_2011(level: Level) -> None:
    data, expected = vector("krippendorff2011_4x12")
    counts, values = counts_of(data)
    alpha = krippendorff_alpha(level, values=values).of(counts)
    assert alpha == pytest.approx(expected[f"alpha_{level}"], abs=1e-12)


def test_alpha_and_percent_of_binary_data() -> None:
    data, expected = vector("krippendorff2011_binary_2x10")
    counts, _ = counts_of(data)
    assert krippendorff_alpha("nominal").of(counts) == pytest.approx(expected["alpha_nominal"])
    for weighting in ("pairs", "units"):
        percent = percent_agreement(weighting=weighting).of(counts)
        assert percent == pytest.approx(expected["percent_agreement"])


def test_fleiss_1971() -> None:
    data, expected = vector("fleiss1971_30x5")
    assert fleiss_kappa(5).of(np.array(data, float)) == pytest.approx(expected["fleiss_kappa"])


def test_cohen_kappa_with_its_standard_error() -> None:
    data, expected = vector("cohen_wikipedia_2x2")
    kappa = cohen_kappa(np.array(data, float))
    assert kappa.value == pytest.approx(expected["cohen_kappa"])
    assert kappa.standard_error == pytest.approx(expected["se_fleiss_cohen_everitt"])
    interval = stats.norm.interval(0.95, kappa.value, kappa.standard_error)
    assert interval == pytest.approx(expected["ci95"])


def test_kappa_paradox() -> None:
    data, expected = vector("kappa_paradox_125")
    table = np.array(data, int)
    first, second = np.repeat(np.indices((2, 2)).reshape(2, 4), table.ravel(), axis=1)
    counts = count_votes(
        np.tile(np.arange(125), 2), np.concatenate([first, second]), units=125, categories=2
    )
    kappa = cohen_kappa(cross_table(first, second, categories=2)).value
    assert kappa == pytest.approx(expected["cohen_kappa"])
    assert percent_agreement(weighting="pairs").of(counts) == expected["percent_agreement"]
    assert gwet_ac(2).of(counts) == pytest.approx(expected["gwet_ac1"], abs=5e-6)


def test_gwet_four_raters_with_missing_votes() -> None:
    data, expected = vector("gwet_cac_raw4raters")
    counts, _ = counts_of(np.array(data, dtype=object).T.tolist())
    found = {
        "percent_agreement": percent_agreement(weighting="units").of(counts),
        "gwet_ac1": gwet_ac(5).of(counts),
        "fleiss_kappa_gwet": fleiss_kappa(5).of(counts),
        "krippendorff_alpha": krippendorff_alpha("nominal").of(counts),
        "ac2_quadratic": gwet_ac(5, weights="quadratic").of(counts),
        "ac2_linear": gwet_ac(5, weights="linear").of(counts),
        "fleiss_quadratic": fleiss_kappa(5, weights="quadratic").of(counts),
    }
    assert found == pytest.approx({name: expected[name] for name in found}, abs=6e-6)


def test_weighted_kappa_against_its_definition() -> None:
    table = np.array([[20, 5, 1], [3, 15, 4], [0, 6, 10]], float)
    p = table / table.sum()
    distance = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    chance = np.outer(p.sum(axis=1), p.sum(axis=0))
    for weights, penalty in (("linear", distance), ("quadratic", distance**2)):
        by_definition = 1 - (p * penalty).sum() / (chance * penalty).sum()
        assert cohen_kappa(table, weights=weights).value == pytest.approx(by_definition)  # type: ignore[arg-type]


def test_kendall_w_without_ties() -> None:
    data, expected = vector("kendall_w_siegel_3x6")
    found = list_agreement(np.zeros(3, int), np.array(data, float), units=1)
    assert found.w == pytest.approx([expected["kendall_w"]])


def test_kendall_tau_b_with_ties() -> None:
    data, expected = vector("kendall_tau_b_scipy")
    found = list_agreement(np.zeros(2, int), np.array(data, float), units=1)
    assert found.tau_b == pytest.approx([expected["tau_b"]])


@given(seed=st.integers(0, 10_000), raters=st.integers(2, 5), places=st.integers(2, 6))
def test_list_agreement_against_scipy(seed: int, raters: int, places: int) -> None:
    """With ties: mean tau-b by scipy, W by the textbook formula; a padded list beside it."""
    ranks = np.random.default_rng(seed).integers(1, 5, size=(raters, places)).astype(float)
    padded = np.hstack([ranks, np.full((raters, 2), np.nan)])
    other = np.tile(np.arange(places + 2.0), (2, 1))
    unit = np.repeat([0, 1], [raters, 2])
    found = list_agreement(unit, np.vstack([padded, other]), units=2)
    taus = [stats.kendalltau(ranks[i], ranks[j])[0] for i in range(raters) for j in range(i)]
    defined = [tau for tau in taus if not np.isnan(tau)]
    assert found.tau_b[0] == pytest.approx(np.mean(defined) if defined else np.nan, nan_ok=True)
    assert found.w[0] == pytest.approx(textbook_w(ranks), nan_ok=True)
    assert (found.w[1], found.tau_b[1]) == pytest.approx((1, 1))


def textbook_w(ranks: Floats) -> float:
    raters, places = ranks.shape
    average = stats.rankdata(ranks, axis=1)
    spread = ((average.sum(axis=0) - raters * (places + 1) / 2) ** 2).sum()
    sizes = [np.unique(row, return_counts=True)[1] for row in ranks]
    ties = sum((size**3 - size).sum() for size in sizes)
    bottom = raters**2 * (places**3 - places) - raters * ties
    return float(12 * spread / bottom) if bottom else np.nan


@given(seed=st.integers(0, 10_000), missing=st.floats(0, 0.6))
def test_alpha_against_two_packages(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 5, size=(4, 25)).astype(float)
    table[rng.random(table.shape) < missing] = np.nan
    table[:2, :3] = [[1, 2, 3], [2, 2, 4]]
    counts, values = counts_of(table.tolist())
    for level in ("nominal", "ordinal", "interval"):
        mine = krippendorff_alpha(level, values=values).of(counts)
        theirs = krippendorff.alpha(table, level_of_measurement=level)
        assert mine == pytest.approx(theirs, abs=1e-12)
        assert mine == pytest.approx(evalica_alpha(table, level), abs=1e-9)


def evalica_alpha(table: Floats, level: str) -> float:

    return float(evalica.alpha(pd.DataFrame(table), distance=level).alpha)  # type: ignore[arg-type]


def test_the_two_percents_differ_when_units_have_unequal_votes() -> None:
    counts = np.array([[2, 0, 0], [2, 1, 1]], float)
    assert percent_agreement(weighting="pairs").of(counts) == pytest.approx(2 / 7)
    assert percent_agreement(weighting="units").of(counts) == pytest.approx((1 + 1 / 6) / 2)
    assert percent_agreement(weighting="pairs", without=1).of(counts) == pytest.approx(0.5)


def test_one_answer_for_everything_is_undefined_not_perfect() -> None:
    counts = np.array([[3, 0], [2, 0]], float)
    assert np.isnan(krippendorff_alpha("nominal").of(counts))
    assert percent_agreement(weighting="pairs").of(counts) == 1


def test_interval_alpha_needs_values() -> None:
    with pytest.raises(ValueError, match="needs the values"):
        krippendorff_alpha("interval").of(np.ones((3, 2)))
