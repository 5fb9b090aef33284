"""Shares with intervals by the cluster bootstrap, and what stands where nothing was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from feedback.statistics.arrays import Floats, Integers, divide
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.intervals import clustered_shares


def rate(
    hit: Floats,
    weight: Floats,
    cluster: Integers,
    *,
    method: str,
    resamples: int,
    seed: int,
    is_share: bool = True,
) -> Estimate:
    """Estimate sum(hit) / sum(weight); all are [rows], a row of weight 0 is passed over.

    The interval is the percentile interval of a bootstrap of clusters. Where every hit is 0, or
    every one its weight, no resample differs: then it is Wilson's on the effective number of rows
    (`clustered_shares`). `is_share` is false for differences, which may be negative.
    """
    used = weight > 0
    if not used.any():
        return unmeasured(method, resamples=resamples, seed=seed)
    kept = np.where(used, hit, 0.0)
    found = ClusterBootstrap(cluster, resamples, seed).estimate(
        [kept, np.where(used, weight, 0.0)],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=used,
        method=method,
    )
    if is_share and found.value in (0.0, 1.0):
        return _at_the_end(found, kept[used], weight[used], cluster[used])
    return found


def _at_the_end(found: Estimate, hit: Floats, weight: Floats, cluster: Integers) -> Estimate:
    share = divide(hit, weight)
    one = clustered_shares(np.zeros_like(cluster), cluster, share, raters=1, weight=weight)
    low, high = float(one.low[0]), float(one.high[0])
    if np.isnan(low):
        return found
    ends = {"low": low} if found.value else {"high": high}
    return replace(found, **ends, parameters={"interval": "Wilson"})


def unmeasured(method: str, *, reason: str = "", resamples: int = 0, seed: int = 0) -> Estimate:
    """Nothing to measure it from: never 0."""
    return Estimate(
        method=method, value=None, low=None, high=None, units=0, clusters=0,
        level=ClusterBootstrap.level, resamples=resamples, seed=seed, reason=reason,
    )  # fmt: skip
