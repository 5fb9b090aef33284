"""Estimates that say how sure they are, and estimates of KL divergence."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
FEWEST_CLUSTERS = 10
Floats = NDArray[np.float64]
Estimate = dict[str, float | None]


def bootstrap(values: Floats, weights: Floats, clusters: Sequence[str], seed: int) -> Estimate:
    """Weighted mean of what is not NaN, with a 95 % interval that resamples whole clusters.

    Values, weights and clusters are [n]. The interval is null under ten clusters, where it would
    pretend to know; the value is null when there is none.
    """
    return _interval([values], weights, clusters, seed)


def bootstrap_margin(
    chosen: Floats, rejected: Floats, weights: Floats, clusters: Sequence[str], seed: int
) -> Estimate:
    """Mean of chosen less mean of rejected, with the interval of `bootstrap`.

    For pairs this is the mean of the differences; for lone answers, where every row has one side
    and NaN at the other, it is the difference of both means.
    """
    return _interval([chosen, -rejected], weights, clusters, seed)


def _interval(
    parts: Sequence[Floats], weights: Floats, clusters: Sequence[str], seed: int
) -> Estimate:
    """The sum of the weighted means of all parts under joint resampling of clusters."""
    if len(clusters) == 0:
        return {"value": None, "low": None, "high": None}
    names, index = np.unique(clusters, return_inverse=True)
    generator, size = np.random.default_rng(seed), len(names)
    counts = generator.multinomial(size, np.full(size, 1 / size), RESAMPLES)
    counts = np.vstack([np.ones((1, size)), counts])  # the first row is the data as they are
    means = np.zeros(RESAMPLES + 1)
    for values in parts:
        known = np.where(np.isnan(values), 0.0, weights)
        sums = np.bincount(index, known * np.nan_to_num(values), minlength=size)
        with np.errstate(invalid="ignore"):
            means += (counts @ sums) / (counts @ np.bincount(index, known, minlength=size))
    if np.isnan(means[0]):
        return {"value": None, "low": None, "high": None}
    low, high = (
        (None, None) if size < FEWEST_CLUSTERS else np.nanquantile(means[1:], (0.025, 0.975))
    )
    return {
        "value": float(means[0]),
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
    }


def divergence_estimates(policy: Floats, reference: Floats) -> tuple[float, float]:
    """k1 and k3 estimates of KL(policy ‖ reference) in nats from one sampled response.

    With x = log policy - log reference of each token [t]: k1 = sum x, unbiased but possibly
    negative; k3 = sum (exp(-x) - 1 + x), never negative and of lower variance.
    """
    ratios = policy - reference
    return float(ratios.sum()), float((np.expm1(-ratios) + ratios).sum())
