"""Estimates that say how sure they are, and estimates of KL divergence."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
FEWEST_CLUSTERS = 10
# The normal quantile of a 95 % interval.
Z = 1.959964
# Numbers of resampled clusters that are held at once: 32 MiB, twice while they are drawn.
BLOCK = 2**22
Floats = NDArray[np.float64]
Estimate = dict[str, float | None]


def bootstrap(values: Floats, weights: Floats, clusters: Sequence[str], seed: int) -> Estimate:
    """Weighted mean of what is not NaN, with a 95 % interval that resamples whole clusters.

    Values, weights and clusters are [n]. The interval is null under ten clusters, where it would
    pretend to know; the value is null when there is none.
    """
    return _interval([values], weights, clusters, seed)


def bootstrap_share(
    values: Floats, weights: Floats, clusters: Sequence[str], seed: int
) -> Estimate:
    """The same of shares in [0, 1].

    Where all are 0, or all are 1, every resample is the same, and the bootstrap would be certain of
    what few clusters show: there the interval is Wilson's (1927), of (Σ w)² / Σ w² clusters.
    """
    found = bootstrap(values, weights, clusters, seed)
    known = ~np.isnan(values) & (weights > 0)
    if found["low"] is None or found["value"] not in (0.0, 1.0) or not known.any():
        return found
    index = np.unique(np.asarray(clusters)[known], return_inverse=True)[1]
    mass = np.bincount(index, weights[known])
    count = float(mass.sum() ** 2 / np.square(mass).sum())
    near, far = found["value"], (Z**2 if found["value"] == 0.0 else count) / (count + Z**2)
    return {"value": near, "low": min(near, far), "high": max(near, far)}


def bootstrap_margin(
    chosen: Floats, rejected: Floats, weights: Floats, clusters: Sequence[str], seed: int
) -> Estimate:
    """Mean of chosen less mean of rejected, with the interval of `bootstrap`.

    For pairs this is the mean of the differences; for lone answers, where every row has one side
    and NaN at the other, it is the difference of both means.
    """
    return _interval([chosen, -rejected], weights, clusters, seed)


def draws(size: int, seed: int) -> Iterator[Floats]:
    """How often each of `size` clusters is drawn in RESAMPLES draws of `size` with replacement.

    Blocks of [b, size], of bounded memory; the draws do not depend on how large the blocks are.
    """
    generator, shares = np.random.default_rng(seed), np.full(size, 1 / size)
    rows = max(1, BLOCK // size)
    for start in range(0, RESAMPLES, rows):
        yield generator.multinomial(size, shares, min(rows, RESAMPLES - start)).astype(float)


def _interval(
    parts: Sequence[Floats], weights: Floats, clusters: Sequence[str], seed: int
) -> Estimate:
    """The sum of the weighted means of all parts under joint resampling of clusters."""
    if len(clusters) == 0:
        return {"value": None, "low": None, "high": None}
    names, index = np.unique(clusters, return_inverse=True)
    size, sums = len(names), list[tuple[NDArray[Any], NDArray[Any]]]()
    for values in parts:
        known = np.where(np.isnan(values), 0.0, weights)
        total = np.bincount(index, known * np.nan_to_num(values), minlength=size)
        sums.append((total, np.bincount(index, known, minlength=size)))
    # The first row is the data as they are.
    blocks = chain([np.ones((1, size))], draws(size, seed))
    with np.errstate(invalid="ignore"):
        parted = (
            [(block @ total) / (block @ weight) for total, weight in sums] for block in blocks
        )
        means = np.concatenate([np.sum(found, axis=0) for found in parted])
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
