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
    alone: bool = False,
) -> Estimate:
    """Estimate sum(hit) / sum(weight); both are [rows] as the bootstrap's clusters are.

    A row of weight 0 is passed over. The interval is the percentile interval of the bootstrap.
    Where every hit is 0, or every one its weight, it is Wilson's (`at_the_ends`): by clusters, or
    with `alone` by rows, of which each came about by itself. `is_share` is false for differences,
    which may be negative.
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
    cluster = np.arange(len(hit)) if alone else bootstrap.cluster
    return at_the_ends(found, hit, weight, cluster) if is_share else found


def at_the_ends(found: Estimate, hit: Floats, weight: Floats, cluster: Integers) -> Estimate:
    """The share sum(hit) / sum(weight), each [rows], with Wilson's interval if it is 0 or 1.

    No resample differs there, so the bootstrap would have it known exactly.
    """
    if found.value not in (0.0, 1.0):
        return found
    used = weight > 0
    share, rows = divide(hit[used], weight[used]), cluster[used]
    one = clustered_shares(np.zeros_like(rows), rows, share, raters=1, weight=weight[used])
    low, high = float(one.low[0]), float(one.high[0])
    if np.isnan(low):
        return found
    parameters = found.parameters | {"interval": "Wilson"}
    if found.value:
        return replace(found, low=low, parameters=parameters)
    return replace(found, high=high, parameters=parameters)


def unmeasured(method: str, bootstrap: ClusterBootstrap) -> Estimate:
    """Nothing to measure it from: never 0."""
    return Estimate(
        method=method, value=None, low=None, high=None, units=0, clusters=0,
        level=bootstrap.level, resamples=bootstrap.resamples, seed=bootstrap.seed,
    )  # fmt: skip
