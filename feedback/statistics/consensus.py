"""How each rater agrees with what the others decided without them, against what chance gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feedback.statistics.arrays import Floats, Integers, divide
from feedback.statistics.intervals import (
    ENOUGH,
    Cells,
    Figures,
    cell_of,
    clustered_shares,
    critical_value,
    known_only,
)
from feedback.statistics.raters import pair_signs

CATEGORIES = 3  # worse, tie, better; a thumb is worse or better
TIE = 1
NO_CONSENSUS = -1
# Weights are added up in floating point: sums that differ by less are equal.
SAME = 1e-9


@dataclass(frozen=True)
class Comparisons:
    """Answers beside another answer on the same thing: one row each; all arrays are [rows].

    `weight` adds up to 1 over the pairs of one list. `stratum` is the kind and criterion.
    """

    rater: Integers
    cluster: Integers
    own: Integers
    other: Integers
    weight: Floats
    stratum: Integers

    @classmethod
    def joined(cls, parts: Sequence["Comparisons"]) -> "Comparisons":
        """Put the rows of several kinds and criteria together, each a stratum of its own."""
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return cls(none, none, none, none, np.zeros(0), none)
        return cls(
            rater=np.concatenate([part.rater for part in parts]),
            cluster=np.concatenate([part.cluster for part in parts]),
            own=np.concatenate([part.own for part in parts]),
            other=np.concatenate([part.other for part in parts]),
            weight=np.concatenate([part.weight for part in parts]),
            stratum=np.repeat(np.arange(len(parts)), [len(part.rater) for part in parts]),
        )


@dataclass(frozen=True)
class Agreement:
    """`share` of equal answers; `chance` [raters] is what the same habits would give by chance;
    `kappa` = (share - chance) / (1 - chance); `opposed`: the share of opposite answers where
    both preferred a side."""

    share: Figures
    chance: Floats
    kappa: Figures
    opposed: Figures


def signs_of(value: Floats, *, is_thumbs: bool) -> tuple[Integers, Integers, Integers]:
    """Answers as row, pair and category: lists [answers, places] have a row for each pair."""
    if value.ndim == 1:
        sign = 2 * value - 1 if is_thumbs else np.sign(value)
        row = np.arange(len(value))
        return row, np.zeros_like(row), (sign + 1).astype(np.int64)
    earlier, later = np.triu_indices(value.shape[1], k=1)
    row, pair = np.nonzero(~np.isnan(value[:, earlier]) & ~np.isnan(value[:, later]))
    return row, pair, (pair_signs(value)[row, pair] + 1).astype(np.int64)


def with_the_others(
    unit: Integers,
    rater: Integers,
    cluster: Integers,
    value: Floats,
    weight: Floats,
    *,
    is_thumbs: bool,
) -> Comparisons:
    """Compare each answer with the plurality of the others' on the same unit.

    Without one (nobody else answered, or they are split evenly) an answer is not compared. A
    rater of weight 0 has no say in it, and is compared all the same.
    """
    row, pair, category = signs_of(value, is_thumbs=is_thumbs)
    things = unit[row] * (int(pair.max(initial=0)) + 1) + pair
    _, thing = np.unique(things, return_inverse=True)
    others = leave_one_out(thing, category, weight[row])
    kept = others != NO_CONSENSUS
    compared = np.bincount(row[kept], minlength=len(value))
    part = divide(np.ones(int(kept.sum())), compared[row[kept]].astype(np.float64))
    row = row[kept]
    stratum = np.zeros(len(row), dtype=np.int64)
    return Comparisons(rater[row], cluster[row], category[kept], others[kept], part, stratum)


def leave_one_out(unit: Integers, category: Integers, weight: Floats) -> Integers:
    """What most of the others' votes on the unit of each vote say [votes], or NO_CONSENSUS."""
    units = int(unit.max(initial=-1)) + 1
    cells = np.bincount(unit * CATEGORIES + category, weights=weight, minlength=units * CATEGORIES)
    others: Floats = cells.reshape(units, CATEGORIES)[unit].astype(np.float64)
    others[np.arange(len(unit)), category] -= weight
    best = others.max(axis=1, initial=0.0)
    is_best = others > best[:, None] - SAME
    decided = (best > SAME) & (is_best.sum(axis=1) == 1)
    return np.where(decided, others.argmax(axis=1), NO_CONSENSUS).astype(np.int64)


def agreement(rows: Comparisons, *, raters: int) -> Agreement:
    """Shares and kappa of each rater over all that was compared, intervals by whole clusters."""
    equal = (rows.own == rows.other).astype(np.float64)
    share = clustered_shares(rows.rater, rows.cluster, equal, raters=raters, weight=rows.weight)
    decisive = (rows.own != TIE) & (rows.other != TIE)
    opposed = clustered_shares(
        rows.rater[decisive], rows.cluster[decisive], 1 - equal[decisive],
        raters=raters, weight=rows.weight[decisive],
    )  # fmt: skip
    cells = _cells(rows, equal, raters)
    totals = cells.by_rater(cells.sums)
    chance, kappa = _chance_and_kappa(totals)
    spread = _jackknife(cells, totals)
    reach = critical_value(cells.clusters.astype(np.float64) - 1) * spread
    low, high = (
        # Without any spread (all agree) the jackknife knows nothing: the share's interval does.
        np.where(spread > SAME, kappa + side * reach, divide(bound - chance, 1 - chance))
        for side, bound in ((-1, share.low), (1, share.high))
    )
    figures = Figures(
        kappa, np.maximum(low, -1.0), np.minimum(high, 1.0), share.answers, cells.clusters
    )
    known = (share.answers >= ENOUGH) & (cells.clusters > 1) & ~np.isnan(reach)
    return Agreement(share, chance, known_only(figures, known), opposed)


def _cells(rows: Comparisons, equal: Floats, raters: int) -> Cells:
    """What the coefficients need: sums [cells, strata, 2 + own and other categories]."""
    owner, cell = cell_of(rows.rater, rows.cluster)
    strata, terms = int(rows.stratum.max(initial=0)) + 1, 2 + 2 * CATEGORIES
    first = (cell * strata + rows.stratum) * terms
    size = len(owner) * strata * terms
    equals = np.bincount(first + 1, weights=rows.weight * equal, minlength=size)
    sums: Floats = equals.astype(np.float64)
    for place in (first, first + 2 + rows.own, first + 2 + CATEGORIES + rows.other):
        sums += np.bincount(place, weights=rows.weight, minlength=size)
    return Cells(owner, sums.reshape(len(owner), strata, terms), raters)


def _chance_and_kappa(sums: Floats) -> tuple[Floats, Floats]:
    """Of sums [..., strata, terms]: chance agreement is Cohen's in each stratum, then pooled."""
    given, equal = sums[..., 0], sums[..., 1]
    own, other = sums[..., 2 : 2 + CATEGORIES], sums[..., 2 + CATEGORIES :]
    by_chance = np.nan_to_num(divide((own * other).sum(axis=-1), given)).sum(axis=-1)
    total, matched = given.sum(axis=-1), equal.sum(axis=-1)
    return divide(by_chance, total), divide(matched - by_chance, total - by_chance)


def _jackknife(cells: Cells, totals: Floats) -> Floats:
    """The standard error of kappa [raters], leaving out one cluster at a time."""
    _, without = _chance_and_kappa(totals[cells.rater] - cells.sums)
    clusters = cells.clusters.astype(np.float64)
    mean = divide(cells.by_rater(without), clusters)
    squares = cells.by_rater((without - mean[cells.rater]) ** 2)
    return np.sqrt(divide((clusters - 1) * squares, clusters))
