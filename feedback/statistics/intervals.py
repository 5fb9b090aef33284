"""Figures of many raters at once, each with an interval that fits how its answers hang together.

Answers on one prompt are not independent, so intervals are wider where they agree within
clusters; they are never narrower than those of independent answers.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from scipy.special import bdtr, bdtrik, stdtrit

from feedback.statistics.arrays import Booleans, Floats, Integers, divide

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
# Under so many answers a figure is not given: its interval would cover most of what is possible.
MINIMUM_ANSWERS = 10
# A list's pairs add up to one answer but for rounding: ten lists are ten answers.
ENOUGH = MINIMUM_ANSWERS - 1e-6
# Student's t with so many degrees of freedom is the normal distribution.
NORMAL = 1e9


@dataclass(frozen=True)
class Figures:
    """One figure for each rater; all arrays are [raters], NaN where there is too little data.

    `answers` is what each rests on (a list counts once), `clusters` how many prompts or items
    they lie on.
    """

    value: Floats
    low: Floats
    high: Floats
    answers: Floats
    clusters: Integers


@dataclass(frozen=True)
class Cells:
    """Sums over the answers that one rater gave in one cluster: one row for each such cell."""

    rater: Integers
    sums: Floats
    raters: int

    @classmethod
    def of(cls, rater: Integers, cluster: Integers, terms: Floats, *, raters: int) -> "Cells":
        """Sum `terms` [answers, terms] by rater and cluster (each [answers])."""
        owner, cell = cell_of(rater, cluster)
        sums = [np.bincount(cell, weights=term, minlength=len(owner)) for term in terms.T]
        return cls(owner, np.stack(sums, axis=1), raters)

    @property
    def clusters(self) -> Integers:
        """How many clusters each rater has answered in."""
        return np.bincount(self.rater, minlength=self.raters).astype(np.int64)

    def by_rater(self, values: Floats) -> Floats:
        """Sum values [cells, ...] over each rater's cells."""
        flat = values.reshape(len(values), prod(values.shape[1:]))
        sums = [np.bincount(self.rater, weights=one, minlength=self.raters) for one in flat.T]
        table: Floats = np.stack(sums, axis=1).astype(np.float64)
        return table.reshape(self.raters, *values.shape[1:])


def cell_of(rater: Integers, cluster: Integers) -> tuple[Integers, Integers]:
    """The rater of each cell [cells], and the cell of each answer [answers]."""
    clusters = int(cluster.max(initial=0)) + 1
    key, cell = np.unique(rater * clusters + cluster, return_inverse=True)
    return key // clusters, np.asarray(cell, dtype=np.int64)


def clustered_shares(
    rater: Integers,
    cluster: Integers,
    hit: Floats,
    *,
    raters: int,
    weight: Floats | None = None,
) -> Figures:
    """The share of hits of each rater, with Wilson's interval on the effective number of answers.

    `hit` [answers] lies in 0..1. The effective number is n / deff, where the design effect deff
    is the variance of the share by clusters (Taylor's linearisation of a ratio) over that of as
    many independent answers, at least 1; where all answers are alike it is Kish's, as if answers
    of one cluster said the same. With clusters the normal quantile gives way to Student's t with
    one degree of freedom less than clusters (Franco, Little, Louis and Slud 2019).
    """
    given = np.ones(len(hit)) if weight is None else weight
    cells = Cells.of(rater, cluster, np.stack([given, given * hit], axis=1), raters=raters)
    totals = cells.by_rater(cells.sums)
    answers, share = totals[:, 0], divide(totals[:, 1], totals[:, 0])
    clusters = cells.clusters
    deviation = cells.sums[:, 1] - share[cells.rater] * cells.sums[:, 0]
    between = divide(clusters * cells.by_rater(deviation**2), (clusters - 1) * answers**2)
    independent = divide(share * (1 - share), answers)
    kish = divide(cells.by_rater(cells.sums[:, 0] ** 2), answers)
    spread = np.where((share > 0) & (share < 1), divide(between, independent), kish)
    repeated = cells.by_rater((cells.sums[:, 0] > 1 + 1e-9).astype(np.float64)) > 0
    effect = np.where(repeated, np.maximum(spread, 1.0), 1.0)
    known = (answers >= ENOUGH) & (~repeated | (clusters > 1))
    critical = critical_value(np.where(repeated, clusters - 1.0, NORMAL))
    low, high = wilson(share, divide(answers, effect), critical)
    return known_only(Figures(share, low, high, answers, clusters), known)


def wilson(share: Floats, answers: Floats, critical: Floats) -> tuple[Floats, Floats]:
    """Wilson's score interval (1927) of a share of independent answers."""
    squared = divide(critical**2, answers)
    centre = (share + squared / 2) / (1 + squared)
    variance = divide(share * (1 - share), answers) + divide(squared, 4 * answers)
    half = critical * np.sqrt(variance) / (1 + squared)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def critical_value(freedom: Floats) -> Floats:
    """The quantile of Student's t that leaves 2.5 % on either side."""
    result: Floats = stdtrit(np.maximum(freedom, 1.0), 1 - TAIL)
    return result


def known_only(figures: Figures, known: Booleans) -> Figures:
    """Leave numbers only where there is enough to tell them from."""
    value, low, high = (
        np.where(known, part, np.nan) for part in (figures.value, figures.low, figures.high)
    )
    return Figures(value, low, high, figures.answers, figures.clusters)


@dataclass(frozen=True)
class Spread:
    """The middle of each rater's values with its interval, and the quartiles around it."""

    median: Figures
    lower_quartile: Floats
    upper_quartile: Floats


def medians(rater: Integers, values: Floats, *, raters: int) -> Spread:
    """The median of each rater's values with an interval by order statistics.

    With B binomial (n, 1/2) and k the least with P(B <= k) > 2.5 %, the k-th least and k-th
    greatest of n values hold the median with at least 95 %, whatever the distribution.
    """
    order = np.lexsort((values, rater))
    ordered = values[order]
    answers = np.bincount(rater, minlength=raters)
    start = np.cumsum(answers) - answers
    known = answers >= MINIMUM_ANSWERS
    rank = _lower_rank(answers)
    given = answers.astype(np.float64)
    low = _at(ordered, start, rank - 1, known)
    high = _at(ordered, start, given - rank, known)
    lower, middle, upper = (
        _at(ordered, start, (given - 1) * part, known) for part in (0.25, 0.5, 0.75)
    )
    return Spread(Figures(middle, low, high, given, answers), lower, upper)


def _lower_rank(answers: Integers) -> Floats:
    """The least k [raters] with P(Binomial(n, 1/2) <= k) > 2.5 %, at least 1."""
    sizes = np.maximum(answers, 1).astype(np.float64)
    rank = np.ceil(bdtrik(TAIL, sizes, 0.5))
    rank = np.where(bdtr(rank - 1, answers.clip(1), 0.5) >= TAIL, rank - 1, rank)
    return np.asarray(np.maximum(rank, 1.0), dtype=np.float64)


def _at(ordered: Floats, start: Integers, place: Floats, known: Booleans) -> Floats:
    """The values at places within each rater's own, between two of them in proportion."""
    result = np.full(len(start), np.nan)
    first, within = start[known], place[known]
    below = np.floor(within).astype(np.int64)
    above = np.ceil(within).astype(np.int64)
    low, high = ordered[first + below], ordered[first + above]
    result[known] = low + (high - low) * (within - below)
    return result
