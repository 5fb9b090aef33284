"""Votes as a table, and as counts of ordered categories: what agreement is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, Integers, count_votes
from feedback.statistics.raters import pair_signs

Kind = Literal["pairwise", "thumbs", "listwise"]
SIGN_TIE = 1  # the place of a tie among the ordered categories: worse, tie, better


@dataclass(frozen=True)
class VoteTable:
    """Votes on one criterion, one row a vote; at most one vote of a rater on a unit.

    `unit` (item), `rater` and `cluster` (prompt) are [votes] indices from 0 and `is_judge` is
    [votes]. `value` is [votes] for pairwise (-3..3) and thumbs (0, 1), and [votes, longest
    list] for lists: ranks in canonical order, lower is better, equal is tied, padded with NaN.
    """

    unit: Integers
    rater: Integers
    value: Floats
    cluster: Integers
    is_judge: Booleans

    def __post_init__(self) -> None:
        if len({len(self.unit), len(self.rater), len(self.value), len(self.cluster),
                len(self.is_judge)}) > 1:  # fmt: skip
            raise ValueError("The columns of a vote table must be equally long.")
        seen = np.sort(self.unit * (int(self.rater.max(initial=0)) + 1) + self.rater)
        if np.any(seen[1:] == seen[:-1]):
            raise ValueError("A rater voted twice on one unit: pass the current vote only.")

    def only(self, rows: Booleans) -> VoteTable:
        """Keep the marked rows."""
        return VoteTable(
            self.unit[rows], self.rater[rows], self.value[rows], self.cluster[rows],
            self.is_judge[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Ballot:
    """Votes in categories: one row of `counts` a unit (or a pair of a list).

    `key` [units] names the unit in the vote table, `place` [votes] its row, `category` [votes]
    the category (or [votes, pairs] for lists).
    """

    key: Integers
    cluster: Integers
    counts: Floats
    place: Integers
    category: Integers

    @classmethod
    def of(cls, votes: VoteTable, kind: Kind) -> Ballot:
        """Sort votes into ordered categories: worse, tie, better; or down, up."""
        unit, cluster, sign = votes.unit, votes.cluster, votes.value
        if kind == "listwise":
            unit, cluster, sign = _expand(votes)
        categories = 2 if kind == "thumbs" else 3
        category = (sign if kind == "thumbs" else np.sign(sign) + 1).astype(np.int64)
        key, first, place = np.unique(unit, return_index=True, return_inverse=True)
        counts = count_votes(place, category, units=len(key), categories=categories)
        return cls(key, cluster[first], counts, place, category)


def _expand(votes: VoteTable) -> tuple[Integers, Integers, Floats]:
    """Expand lists into votes on pairs of positions: unit, cluster and sign, all [pair votes]."""
    signs = pair_signs(votes.value)
    earlier, later = np.triu_indices(votes.value.shape[1], k=1)
    present = ~np.isnan(votes.value[:, earlier]) & ~np.isnan(votes.value[:, later])
    row, pair = np.nonzero(present)
    return votes.unit[row] * signs.shape[1] + pair, votes.cluster[row], signs[row, pair]
