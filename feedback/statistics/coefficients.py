"""Coefficients of agreement among any number of raters, with missing votes.

Each coefficient is a function of sums over units (items). It is therefore written in two
parts: the terms that every unit contributes, and a formula on their sums. The formula takes
the sums along its last axis, so that one call serves the point estimate ([terms]) and a
thousand bootstrap resamples ([resamples, terms]) alike.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, divide, shares

Level = Literal["nominal", "ordinal", "interval", "ratio"]
Weights = Literal["identity", "linear", "quadratic"]
Weighting = Literal["pairs", "units"]


@dataclass(frozen=True)
class Coefficient:
    """A statistic of the counts [units, categories]; `parameters` say which variant it is."""

    method: str
    terms: Callable[[Floats], Iterable[Floats]]
    formula: Callable[[Floats], Floats]
    parameters: dict[str, str] = field(default_factory=dict)

    def of(self, counts: Floats) -> float:
        """Return the value for all units of `counts`; NaN where it is undefined."""
        return float(self.formula(np.array([term.sum() for term in self.terms(counts)])))


def comparable(counts: Floats) -> Booleans:
    """Tell which units [units] have two votes or more: only these can agree or disagree."""
    return np.asarray(counts.sum(axis=1) >= 2)


def percent_agreement(
    *, weighting: Weighting, without: int | None = None, name: str = "percent_agreement"
) -> Coefficient:
    """Share of pairs of votes on one unit that are equal.

    `weighting` "pairs" pools all pairs of votes (a unit with five votes has ten pairs and so
    ten times the say of a unit with two); "units" takes the share inside each unit and then
    the mean over units. They differ when the number of votes varies. `without` drops the
    votes of one category (ties) first.
    """

    def terms(counts: Floats) -> Iterator[Floats]:
        kept = counts if without is None else np.delete(counts, without, axis=1)
        votes = kept.sum(axis=1)
        equal, pairs = (kept * (kept - 1)).sum(axis=1), votes * (votes - 1)
        if weighting == "pairs":
            yield equal
            yield pairs
        else:
            yield np.nan_to_num(divide(equal, pairs))
            yield (pairs > 0).astype(np.float64)

    ties = "kept" if without is None else "dropped"
    return Coefficient(name, terms, _ratio, {"weighting": weighting, "ties": ties})


def krippendorff_alpha(level: Level, *, values: Floats | None = None) -> Coefficient:
    """Krippendorff's alpha = 1 - Do/De on the coincidence matrix (Krippendorff 2011, sec. C).

    Units with fewer than two votes are left out. `values` [categories] are needed for the
    interval and ratio levels only; an ordinal difference depends on how often the categories
    between two values are used. Undefined (NaN) when every vote is the same.
    """

    def formula(sums: Floats) -> Floats:
        return alpha_of_coincidences(_square(sums), level, values)

    return Coefficient("krippendorff_alpha", _coincidences, formula, {"level": level})


def alpha_of_coincidences(
    coincidences: Floats, level: Level, values: Floats | None = None
) -> Floats:
    """Alpha of coincidence matrices [..., categories, categories]; the result is [...]."""
    marginal = coincidences.sum(axis=-1)
    total = marginal.sum(axis=-1)
    difference = _difference(marginal, level, values)
    observed = (coincidences * difference).sum(axis=(-2, -1))
    expected = (_outer(marginal) * difference).sum(axis=(-2, -1))
    return np.asarray(1 - (total - 1) * divide(observed, expected))


def gwet_ac(categories: int, *, weights: Weights = "identity") -> Coefficient:
    """Gwet's AC1 (identity weights) or AC2: stays steady when one answer is very frequent.

    Chance agreement is T/(q(q-1)) * sum pi (1 - pi), where T is the sum of the weights and
    pi is the mean share of a category over all units, those with one vote included.
    """
    matrix = agreement_weights(categories, weights)

    def chance(prevalence: Floats) -> Floats:
        spread = (prevalence * (1 - prevalence)).sum(axis=-1)
        return np.asarray(matrix.sum() / (categories * (categories - 1)) * spread)

    return _chance_corrected("gwet_ac", matrix, chance, weights)


def fleiss_kappa(categories: int, *, weights: Weights = "identity") -> Coefficient:
    """Fleiss' kappa in Gwet's form, which allows a different number of votes per unit."""
    matrix = agreement_weights(categories, weights)

    def chance(prevalence: Floats) -> Floats:
        return np.asarray(np.einsum("...c,ck,...k->...", prevalence, matrix, prevalence))

    return _chance_corrected("fleiss_kappa", matrix, chance, weights)


def agreement_weights(categories: int, weights: Weights) -> Floats:
    """Credit [categories, categories] for answering c where another answered k: 1 on c = k."""
    if weights == "identity":
        return np.eye(categories)
    steps = np.arange(categories) / max(categories - 1, 1)
    distance = np.abs(steps[:, None] - steps[None, :])
    return np.asarray(1 - (distance if weights == "linear" else distance**2))


def _chance_corrected(
    method: str, matrix: Floats, chance: Callable[[Floats], Floats], weights: Weights
) -> Coefficient:
    """(pa - pe) / (1 - pe): pa is a mean over units with two votes, the prevalence over all."""

    def terms(counts: Floats) -> Iterator[Floats]:
        votes = counts.sum(axis=1)
        credit = (counts * (counts @ matrix)).sum(axis=1) - votes
        yield np.nan_to_num(divide(credit, votes * (votes - 1)))
        yield (votes >= 2).astype(np.float64)
        yield (votes >= 1).astype(np.float64)
        yield from shares(counts).T

    def formula(sums: Floats) -> Floats:
        agreement = divide(sums[..., 0], sums[..., 1])
        expected = chance(divide(sums[..., 3:], sums[..., 2:3]))
        return divide(agreement - expected, 1 - expected)

    return Coefficient(method, terms, formula, {"weights": weights})


def _ratio(sums: Floats) -> Floats:
    return divide(sums[..., 0], sums[..., 1])


def _coincidences(counts: Floats) -> Iterator[Floats]:
    """Yield each unit's part of the coincidence matrix, cell by cell (row-major)."""
    votes = counts.sum(axis=1)
    scale = np.where(votes >= 2, 1 / np.maximum(votes - 1, 1), 0.0)
    for row in range(counts.shape[1]):
        for column in range(counts.shape[1]):
            yield counts[:, row] * (counts[:, column] - (row == column)) * scale


def _square(sums: Floats) -> Floats:
    categories = round(sums.shape[-1] ** 0.5)
    return sums.reshape(*sums.shape[:-1], categories, categories)


def _outer(marginal: Floats) -> Floats:
    return np.asarray(marginal[..., :, None] * marginal[..., None, :])


def _difference(marginal: Floats, level: Level, values: Floats | None) -> Floats:
    """Squared difference between categories [..., categories, categories] at this level."""
    if level == "nominal":
        return 1 - np.eye(marginal.shape[-1])
    if level == "ordinal":
        # The middle of a category's run in the sorted list of all votes: the difference of
        # two middles is Krippendorff's sum of the votes between them, ends counted by half.
        values = np.cumsum(marginal, axis=-1) - marginal / 2
    if values is None:
        raise ValueError(f"The {level} level needs the values of the categories.")
    difference = values[..., :, None] - values[..., None, :]
    if level == "ratio":
        difference = np.nan_to_num(difference / (values[:, None] + values[None, :]))
    return np.asarray(difference**2)
