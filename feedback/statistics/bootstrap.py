"""Intervals by resampling whole clusters: votes on one prompt are not independent."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, Integers, distinct

MINIMUM_CLUSTERS = 10
# With more clusters than this they are pooled at random into equal groups, which are then
# resampled. Groups are as independent as clusters, so the interval stays honest; what it loses
# (its width is known to 1/sqrt(2 * groups), 1.6 %) is less than the noise of 1,000 resamples.
MAXIMUM_GROUPS = 2_000
MINIMUM_DEFINED_SHARE = 0.9


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, or the reason in plain words why there is none.

    `value` is None when the figure cannot be given. `clusters` and `units` say what it rests
    on. `method`, `parameters`, `level`, `resamples` and `seed` say how it was made.
    """

    method: str
    value: float | None
    low: float | None
    high: float | None
    units: int
    clusters: int
    level: float
    resamples: int
    seed: int
    reason: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterBootstrap:
    """One set of resamples of the clusters, shared by all figures of a report.

    `cluster` is [units]: the cluster (prompt) index of each unit. A figure is a formula on sums
    over units, so a resample is a product of weights [resamples, groups] and sums per group.
    """

    cluster: Integers
    resamples: int = 1_000
    seed: int = 0
    level: float = 0.95

    def estimate(
        self,
        terms: Iterable[Floats],
        formula: Callable[[Floats], Floats],
        *,
        used: Booleans,
        method: str,
        parameters: dict[str, str] | None = None,
    ) -> Estimate:
        """Estimate `formula` of the sums of `terms` (each [units]) with a percentile interval.

        `used` [units] marks the units that the figure rests on; under ten clusters of them
        give no figure, for its interval would mean nothing.
        """
        units, clusters = int(used.sum()), distinct(self.cluster[used])
        value: float | None = None
        low: float | None = None
        high: float | None = None
        if clusters < MINIMUM_CLUSTERS:
            reason = too_few(clusters)
        else:
            sums = np.stack([self._by_group(term) for term in terms], axis=1)
            value, low, high, reason = self._interval(sums, formula)
        return Estimate(
            method=method, value=value, low=low, high=high, units=units, clusters=clusters,
            level=self.level, resamples=self.resamples, seed=self.seed, reason=reason,
            parameters=parameters or {},
        )  # fmt: skip

    def _interval(
        self, sums: Floats, formula: Callable[[Floats], Floats]
    ) -> tuple[float | None, float | None, float | None, str]:
        value = float(formula(sums.sum(axis=0)))
        if np.isnan(value):
            return None, None, None, "Every answer is the same, so chance cannot be told apart."
        resampled = formula(self._weights @ sums)
        defined = resampled[~np.isnan(resampled)]
        if len(defined) < MINIMUM_DEFINED_SHARE * self.resamples:
            return value, None, None, "The answers are too uniform for an interval."
        tail = (1 - self.level) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return value, float(low), float(high), ""

    @cached_property
    def _groups(self) -> Integers:
        """The resampled group [units] of each unit."""
        _, dense = np.unique(self.cluster, return_inverse=True)
        clusters = int(dense.max()) + 1 if len(dense) else 0
        if clusters <= MAXIMUM_GROUPS:
            return np.asarray(dense, dtype=np.int64)
        places = np.random.default_rng(self.seed).permutation(clusters) % MAXIMUM_GROUPS
        return np.asarray(places[dense], dtype=np.int64)

    @cached_property
    def _weights(self) -> Floats:
        """How often each resample drew each group [resamples, groups]."""
        groups = int(self._groups.max()) + 1
        drawn = np.random.default_rng([self.seed, 1]).integers(
            groups, size=(self.resamples, groups)
        )
        drawn += groups * np.arange(self.resamples)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=self.resamples * groups)
        return counts.reshape(self.resamples, groups).astype(np.float64)

    def _by_group(self, term: Floats) -> Floats:
        groups = int(self._groups.max()) + 1
        return np.bincount(self._groups, weights=term, minlength=groups).astype(np.float64)


def too_few(clusters: int) -> str:
    """Say that there is not enough data, and how much is."""
    have = {0: "No prompt has", 1: "Only 1 prompt has"}.get(
        clusters, f"Only {clusters} prompts have"
    )
    return f"Not enough data: {have} answers to compare; {MINIMUM_CLUSTERS} are needed."
