"""What a judge's card is computed from, for one kind and criterion.

A unit is an item, or for lists a pair of its positions: its key is `item * pairs + pair`, where
`pairs` counts those of the longest list and `pair` is a place in (0,1), (0,2), …, (1,2), …, as
Ballot has it. A sign is 1 where the canonically earlier response is preferred, -1 where the
other is, 0 for a tie; of thumbs it is 1 for up and 0 for down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from feedback.statistics.arrays import Floats, Integers
from feedback.statistics.ballots import Kind, VoteTable
from feedback.statistics.raters import pair_signs

NONE = np.zeros(0, dtype=np.int64)
EMPTY = np.zeros(0)


@dataclass(frozen=True)
class Marks:
    """One value for some of the units: `key` [marks] ascending and unique, `value` [marks]."""

    key: Integers = field(default_factory=lambda: NONE)
    value: Floats = field(default_factory=lambda: EMPTY)

    def at(self, keys: Integers) -> Floats:
        """The values of these units [keys], NaN where there is none."""
        result: Floats = np.full(len(keys), np.nan)
        if len(self.key):
            place = np.searchsorted(self.key, keys).clip(max=len(self.key) - 1)
            known = self.key[place] == keys
            result[known] = self.value[place[known]]
        return result


@dataclass(frozen=True)
class Chains:
    """Single verdicts, one row for each order, sample and unit; all [rows].

    `side` is 1 where the canonically earlier response was shown before the other, else -1.
    """

    key: Integers = field(default_factory=lambda: NONE)
    cluster: Integers = field(default_factory=lambda: NONE)
    sign: Floats = field(default_factory=lambda: EMPTY)
    side: Floats = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Repeats:
    """A unit's first answer and a later one by the same judge; all [rows]."""

    cluster: Integers = field(default_factory=lambda: NONE)
    first: Floats = field(default_factory=lambda: EMPTY)
    again: Floats = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Attacks:
    """Items judged again with one response injected; all [rows].

    `clean` and `injected` are that response's standing, higher is better: the sign towards it, the
    thumb, or less its rank; `best` is the highest there is. NaN: the answer could not be read.
    """

    cluster: Integers = field(default_factory=lambda: NONE)
    attack: Integers = field(default_factory=lambda: NONE)
    clean: Floats = field(default_factory=lambda: EMPTY)
    injected: Floats = field(default_factory=lambda: EMPTY)
    best: Floats = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Evidence:
    """`votes` holds people's and one judge's; every mark has the orientation of the votes.

    `longer` and `own` are signs of the longer response, and of the one that the judge's own
    family wrote where the other is another's; `accepted` signs of what was accepted; `soft` the
    judge's P(earlier preferred) or P(up). Where `has_orders` is false, responses never stand beside
    each other before the judge, so that nothing can flip. `slices` names sets of items (unit
    indices of `votes`).
    """

    kind: Kind
    votes: VoteTable
    longer: Marks = field(default_factory=Marks)
    own: Marks = field(default_factory=Marks)
    accepted: Marks = field(default_factory=Marks)
    soft: Marks = field(default_factory=Marks)
    has_orders: bool = True
    chains: Chains = field(default_factory=Chains)
    repeats: Repeats = field(default_factory=Repeats)
    attacks: Attacks = field(default_factory=Attacks)
    attack_names: tuple[str, ...] = ()
    slices: Mapping[str, Integers] = field(default_factory=dict)


def signs_by_pair(item: Integers, ranks: Floats) -> Marks:
    """Signs of every pair that `ranks` [items, longest] orders: lower is preferred, NaN is none."""
    signs = pair_signs(ranks)
    earlier, later = np.triu_indices(ranks.shape[1], k=1)
    row, pair = np.nonzero(~np.isnan(ranks[:, earlier]) & ~np.isnan(ranks[:, later]))
    key = item[row] * signs.shape[1] + pair
    order = np.argsort(key)
    return Marks(key[order], signs[row, pair][order])
