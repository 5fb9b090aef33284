"""How far the votes on an item lie apart, which orders the reviewers' queue.

An answer has a place between -1 and 1: a strength is divided by 3, a thumb is -1 or 1, and a list
has a place for each pair of its responses (-1, 0, 1). The measure is the variance of the places,
for a list the mean over its pairs: 0 when all answer alike, 1 when one half stands against the
other at the ends. It knows, unlike an entropy, that "much better" against "much better" is a
greater disagreement than "slightly" against "slightly".

Where people and judges are compared, each side weighs one half, however many they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotation.models import Kind
from feedback.selectors.votes import Votes
from feedback.statistics.arrays import Booleans, Floats, Integers
from feedback.statistics.raters import pair_signs


@dataclass(frozen=True)
class Disagreement:
    """All [units]. `judges_oppose`: people as a whole and judges as a whole answer otherwise."""

    among_counted: Floats
    judges_oppose: Booleans
    with_judges: Floats


def measure(votes: Votes, counts: Booleans, unit: Integers, units: int, kind: str) -> Disagreement:
    """`votes` with those of judges; `counts` [votes] says which of them the policy counts."""
    places = _places(votes, kind)
    pairs = _pairs(votes, unit, units, kind)
    people, judges = votes.weight * ~votes.is_judge, votes.weight * votes.is_judge
    halves = _share(people, unit, units) + _share(judges, unit, units)
    return Disagreement(
        among_counted=_variance(places, votes.weight * counts, unit, units) / pairs,
        judges_oppose=_oppose(places, people, judges, unit, units),
        with_judges=_variance(places, halves, unit, units) / pairs,
    )


def _places(votes: Votes, kind: str) -> Floats:
    if kind == Kind.LISTWISE:
        return pair_signs(votes.value)
    places: Floats = votes.value / 3 if kind == Kind.PAIRWISE else 2 * votes.value - 1
    return places[:, None]


def _pairs(votes: Votes, unit: Integers, units: int, kind: str) -> Floats:
    """Pairs of responses [units]: columns beyond a short list's are no pairs of it."""
    if kind != Kind.LISTWISE:
        return np.ones(units)
    size = np.zeros(units)
    size[unit] = (~np.isnan(votes.value)).sum(axis=1)
    pairs: Floats = np.maximum(size * (size - 1) / 2, 1)
    return pairs


def _share(weight: Floats, unit: Integers, units: int) -> Floats:
    total = np.bincount(unit, weights=weight, minlength=units)[unit]
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)


def _variance(places: Floats, weight: Floats, unit: Integers, units: int) -> Floats:
    """The weighted variance within units, summed over columns [units]."""
    share = _share(weight, unit, units)
    total = np.zeros(units)
    for column in places.T:
        mean = np.bincount(unit, weights=share * column, minlength=units)
        total += np.bincount(unit, weights=share * (column - mean[unit]) ** 2, minlength=units)
    return total


def _oppose(places: Floats, people: Floats, judges: Floats, unit: Integers, units: int) -> Booleans:
    """One pair: the sides have different majorities. A list: more pairs opposed than alike."""
    alike, opposed = np.zeros(units), np.zeros(units)
    for column in places.T:
        said, answered = (_majority(column, side, unit, units) for side in (people, judges))
        alike += said == answered
        opposed += ~np.isnan(said) & ~np.isnan(answered) & (said != answered)
    result: Booleans = opposed > alike
    return result


def _majority(column: Floats, weight: Floats, unit: Integers, units: int) -> Floats:
    """-1, 0 or 1 [units]; NaN where a side is silent or divided."""
    category = (np.sign(column) + 1).astype(np.int64)
    cells = np.bincount(unit * 3 + category, weights=weight, minlength=units * 3)
    counts = cells.reshape(units, 3)
    top = counts.max(axis=1)
    clear = (top > 0) & ((counts > top[:, None] - 1e-9).sum(axis=1) == 1)
    return np.where(clear, counts.argmax(axis=1) - 1.0, np.nan)
