"""Calibration and diversity, against worked values and an oracle."""

import math

import numpy as np
import pytest

from training.alignment import estimates
from training.alignment.evaluation.calibration import calibration_error, confidences, reliability
from training.alignment.evaluation.texts import alike, distinct, repetition


def test_confidence_is_bradley_and_terrys() -> None:
    confidence, right = confidences(
        np.array([math.log(3), -math.log(3), 0.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.7])
    )
    assert confidence[:3] == pytest.approx([0.75, 0.75, 0.5])
    assert right == pytest.approx([1.0, 0.0, 0.5, 0.7])


def test_calibration_of_worked_bins() -> None:
    """Four pairs at 0.75 of which half are right, one at 0.95 that is: (4 × 0.25 + 0.05) / 5."""
    confidence = np.array([0.75, 0.75, 0.75, 0.75, 0.95])
    right = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    names = [str(number) for number in range(5)]
    found = calibration_error(confidence, right, np.ones(5), names, 0)
    assert found == {"value": pytest.approx(1.05 / 5), "low": None, "high": None}
    bins = reliability(confidence, right, np.ones(5), names, 0)
    assert [(one.count, one.accuracy["value"]) for one in bins] == [(4, 0.5), (1, 1.0)]


def test_the_number_of_bins_is_given() -> None:
    """0.6 and 0.7 stand apart in ten bins and together in two."""
    given = np.array([0.6, 0.7]), np.array([1.0, 0.3]), np.ones(2), ["a", "b"], 0
    assert calibration_error(*given)["value"] == pytest.approx(0.4)
    assert calibration_error(*given, bins=2)["value"] == pytest.approx(0.0)
    assert [len(reliability(*given, bins=bins)) for bins in (10, 2)] == [2, 1]


@pytest.mark.parametrize("wrong", [0.3, 1.01, math.nan])
def test_a_confidence_of_the_other_side_is_refused(wrong: float) -> None:
    """0.3 would stand in the last bin but three, for so numpy counts from the end."""
    given = np.array([0.75, wrong]), np.ones(2), np.ones(2), ["a", "b"], 0
    for function in (reliability, calibration_error):
        with pytest.raises(ValueError, match="not that of the preferred side"):
            function(*given)


def test_a_calibrated_model_has_a_small_error_within_its_interval() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1.0, 4000)
    right = (generator.random(4000) < confidence).astype(float)
    names = [str(number) for number in range(4000)]
    found = calibration_error(confidence, right, np.ones(4000), names, 0)
    assert found["value"] is not None
    assert found["high"] is not None
    assert found["value"] < found["high"] < 0.04
    overconfident = calibration_error(confidence**0.25, right, np.ones(4000), names, 0)
    assert overconfident["low"] is not None
    assert overconfident["low"] > found["high"]


def test_weights_count_and_order_does_not() -> None:
    confidence, right = np.array([0.6, 0.9, 0.9]), np.array([1.0, 0.0, 1.0])
    names = ["a", "b", "c"]
    doubled = calibration_error(confidence, right, np.array([2.0, 1.0, 1.0]), names, 0)
    again = np.array([0.6, 0.6, 0.9, 0.9]), np.array([1.0, 1.0, 0.0, 1.0])
    assert doubled == calibration_error(*again, np.ones(4), ["a", "d", "b", "c"], 0)
    turned = calibration_error(confidence[::-1], right[::-1], np.array([1.0, 1.0, 2.0]), names, 0)
    assert turned["value"] == pytest.approx(doubled["value"])


def test_distinct_and_repetition() -> None:
    text = ["a", "b", "a", "b", "a", "b"]
    assert distinct(text, 1) == pytest.approx(2 / 6)
    assert distinct(text, 2) == pytest.approx(2 / 5)
    assert repetition(text, 2) == pytest.approx(3 / 5)
    assert repetition(["a", "b", "c", "d", "e", "f"]) == 0.0
    assert repetition([]) == 0.0
    assert math.isnan(distinct([], 1))


def test_answers_that_are_alike() -> None:
    assert alike([["yes", "it", "is"], ["yes", "it", "is"]]) == 1.0
    assert alike([["a", "b", "c"], ["d", "e", "f"]]) == 0.0
    assert alike([["a", "b", "c"], ["a", "b", "d"]]) == pytest.approx(0.5)
    assert math.isnan(alike([["a", "b"]]))


def test_the_bootstrap_does_not_depend_on_its_blocks(monkeypatch):
    """By the formula with all counts at once, which many prompts have no memory for."""
    generator = np.random.default_rng(1)
    values, weights = generator.normal(size=90), generator.uniform(0.5, 2.0, size=90)
    values[::7] = np.nan
    names = [f"{number % 31:02d}" for number in range(90)]
    counts = np.random.default_rng(5).multinomial(31, np.full(31, 1 / 31), estimates.RESAMPLES)
    known = np.where(np.isnan(values), 0.0, weights)
    place = np.arange(90) % 31
    sums = np.bincount(place, known * np.nan_to_num(values))
    means = (counts @ sums) / (counts @ np.bincount(place, known))
    expected = np.quantile(means, (0.025, 0.975))
    whole = estimates.bootstrap(values, weights, names, 5)
    confidence, right = np.full(90, 0.75), (values > 0).astype(float)
    errors = calibration_error(confidence, right, weights, names, 5)
    monkeypatch.setattr(estimates, "BLOCK", 200)
    assert max(block.size for block in estimates.draws(31, 5)) <= 200
    assert sum(len(block) for block in estimates.draws(31, 5)) == estimates.RESAMPLES
    found = estimates.bootstrap(values, weights, names, 5)
    assert found == pytest.approx(whole, rel=1e-12)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), rel=1e-12)
    assert calibration_error(confidence, right, weights, names, 5) == pytest.approx(errors)


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.8064, 1.0), (0.0, 0.0, 0.1936)])
def test_a_share_of_all_or_none_is_no_certainty(value: float, low: float, high: float) -> None:
    """Wilson's interval of 16 of 16: 0.8064 to 1 (scipy.stats.binomtest agrees)."""
    names = [str(number) for number in range(16)]
    found = estimates.bootstrap_share(np.full(16, value), np.ones(16), names, 0)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(
        (value, low, high), abs=1e-4
    )
    twice = estimates.bootstrap_share(np.full(32, value), np.ones(32), names * 2, 0)
    assert twice == pytest.approx(found)


def test_any_other_share_is_bootstrapped() -> None:
    values, names = np.arange(20) % 2.0, [str(number) for number in range(20)]
    plain = estimates.bootstrap(values, np.ones(20), names, 0)
    assert estimates.bootstrap_share(values, np.ones(20), names, 0) == plain
    few = estimates.bootstrap_share(np.ones(4), np.ones(4), names[:4], 0)
    assert few == {"value": 1.0, "low": None, "high": None}
    none = estimates.bootstrap_share(np.array([]), np.array([]), [], 0)
    assert none == {"value": None, "low": None, "high": None}
