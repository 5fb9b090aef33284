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
    bootstrap: ClusterBootstrap,
    *,
    method: str,
    is_share: bool = True,
) -> Estimate:
    """Estimate sum(hit) / sum(weight); both are [rows] as the bootstrap's clusters are.

    A row of weight 0 is passed over. The interval is the percentile interval of the bootstrap.
    Where every hit is 0, or every one its weight, no resample differs: then it is Wilson's on the
    effective number of rows (`clustered_shares`). `is_share` is false for differences, which may
    be negative.
    """
    used = weight > 0
    if not used.any():
        return unmeasured(method, bootstrap)
    found = bootstrap.estimate(
        [np.where(used, hit, 0.0), np.where(used, weight, 0.0)],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=used,
        method=method,
    )
    if is_share and found.value in (0.0, 1.0):
        return _at_the_end(found, hit[used], weight[used], bootstrap.cluster[used])
    return found


def _at_the_end(found: Estimate, hit: Floats, weight: Floats, cluster: Integers) -> Estimate:
    share = divide(hit, weight)
    one = clustered_shares(np.zeros_like(cluster), cluster, share, raters=1, weight=weight)
    low, high = float(one.low[0]), float(one.high[0])
    if np.isnan(low):
        return found
    parameters = {"interval": "Wilson"}
    if found.value:
        return replace(found, low=low, parameters=parameters)
    return replace(found, high=high, parameters=parameters)


def unmeasured(method: str, bootstrap: ClusterBootstrap) -> Estimate:
    """Nothing to measure it from: never 0."""
    return Estimate(
        method=method, value=None, low=None, high=None, units=0, clusters=0,
        level=bootstrap.level, resamples=bootstrap.resamples, seed=bootstrap.seed,
    )  # fmt: skip
