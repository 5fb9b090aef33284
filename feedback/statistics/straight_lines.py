"""Labelers who press the same key over and over, whatever they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feedback.statistics.arrays import Floats, Integers, divide
from feedback.statistics.intervals import (
    MINIMUM_ANSWERS,
    NORMAL,
    Figures,
    critical_value,
    known_only,
    wilson,
)


@dataclass(frozen=True)
class Presses:
    """Answers for one kind and criterion as they were pressed; columns are [answers]."""

    rater: Integers
    answer: Integers
    moment: Integers


@dataclass(frozen=True)
class StraightLines:
    """`share` [raters] of a rater's most frequent answer by side, among all for the kind and
    criterion where it is greatest; `others`: the share of that answer among everybody else's.

    `run` [raters] is the longest run of one answer without a break, and `chance` bounds the
    probability of one as long if the same answers came in random order.
    """

    share: Figures
    others: Floats
    run: Integers
    chance: Floats


def straight_lines(tables: Sequence[Presses], *, raters: int) -> StraightLines:
    """Look at each kind and criterion apart, and keep of each rater what is most suspicious."""
    unknown, none = np.full(raters, np.nan), np.zeros(raters, dtype=np.int64)
    nothing = Figures(unknown, unknown, unknown, np.zeros(raters), none)
    best = StraightLines(nothing, unknown, none, np.ones(raters))
    for table in tables:
        if len(table.rater):
            best = _worse(best, _of_one(table, raters))
    return best


def _of_one(table: Presses, raters: int) -> StraightLines:
    answers, answer = np.unique(table.answer, return_inverse=True)
    cells = np.bincount(table.rater * len(answers) + answer, minlength=raters * len(answers))
    counts = cells.reshape(raters, len(answers)).astype(np.float64)
    given = counts.sum(axis=1)
    usual = counts.argmax(axis=1)
    share = divide(counts.max(axis=1), given)
    low, high = wilson(share, given, critical_value(np.full(raters, NORMAL)))
    rest = counts.sum(axis=0)[usual] - counts.max(axis=1)
    others = divide(rest, given.sum() - given)
    figures = Figures(share, low, high, given, given.astype(np.int64))
    run, chance = _longest_runs(table.rater, answer, table.moment, counts)
    return StraightLines(known_only(figures, given >= MINIMUM_ANSWERS), others, run, chance)


def _longest_runs(
    rater: Integers, answer: Integers, moment: Integers, counts: Floats
) -> tuple[Integers, Floats]:
    """The length [raters] of the longest run, and a bound on its probability by chance.

    Answers of one moment came together, by an import: nobody knows their order, so they are no
    run.
    A run of an answer of share p, as long as L, begins at one of the n - L + 1 places with at
    most p^L, or (1 - p) p^L after another answer: the sum bounds the chance of any.
    """
    order = np.lexsort((moment, rater))
    by, said, at = rater[order], answer[order], moment[order]
    changes = (by[1:] != by[:-1]) | (said[1:] != said[:-1]) | (at[1:] == at[:-1])
    begins = np.flatnonzero(np.r_[True, changes])
    length = np.diff(np.r_[begins, len(by)])
    longest = np.zeros(len(counts), dtype=np.int64)
    np.maximum.at(longest, by[begins], length)
    total = counts.sum(axis=1)[by[begins]]
    share = counts[by[begins], said[begins]] / total
    bound = share**length * (1 + (total - length) * (1 - share))
    chance = np.ones(len(counts))
    np.minimum.at(chance, by[begins], bound)
    return longest, chance


def _worse(one: StraightLines, other: StraightLines) -> StraightLines:
    """Of each rater the greater share, the longer run and the less likely one."""
    later = np.isnan(one.share.value) | (other.share.value > one.share.value)

    def chosen(first: Floats, second: Floats) -> Floats:
        return np.where(later, second, first)

    first, second = one.share, other.share
    share = Figures(
        chosen(first.value, second.value), chosen(first.low, second.low),
        chosen(first.high, second.high), chosen(first.answers, second.answers),
        np.where(later, second.clusters, first.clusters),
    )  # fmt: skip
    return StraightLines(
        share, chosen(one.others, other.others),
        np.maximum(one.run, other.run), np.minimum(one.chance, other.chance),
    )  # fmt: skip
