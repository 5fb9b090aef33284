"""Coefficients that need to know who voted: Cohen's kappa of two raters, and rank agreement."""

from dataclasses import dataclass

import numpy as np

from feedback.statistics.arrays import Floats, Integers, divide
from feedback.statistics.coefficients import Weights, agreement_weights


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa with its standard error (Fleiss, Cohen and Everitt 1969)."""

    value: float
    standard_error: float
    units: int
    weights: Weights


def cross_table(first: Integers, second: Integers, *, categories: int) -> Floats:
    """Count how often the first rater said c and the second k [categories, categories]."""
    cells = np.bincount(first * categories + second, minlength=categories**2)
    return cells.reshape(categories, categories).astype(np.float64)


def cohen_kappa(table: Floats, *, weights: Weights = "identity") -> Kappa:
    """Cohen's kappa (po - pe) / (1 - pe) of two raters' cross table.

    Weighted kappa gives part credit for near misses. NaN when chance explains everything (both
    raters always give one and the same answer).
    """
    units = float(table.sum())
    joint, credit = table / units, agreement_weights(len(table), weights)
    value = float(kappa_of_joint(joint, credit))
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    observed, expected = (joint * credit).sum(), rows @ credit @ columns
    mean_credit = (credit @ columns)[:, None] + (rows @ credit)[None, :]
    spread = (joint * (credit - mean_credit * (1 - value)) ** 2).sum()
    variance = (spread - (value - expected * (1 - value)) ** 2) / (units * (1 - expected) ** 2)
    error = float(np.sqrt(max(variance, 0.0))) if observed < 1 else 0.0
    return Kappa(value, error, int(units), weights)


def kappa_of_joint(joint: Floats, credit: Floats) -> Floats:
    """Kappa of joint shares [..., categories, categories] (each sums to 1)."""
    observed = (joint * credit).sum(axis=(-2, -1))
    rows, columns = joint.sum(axis=-1), joint.sum(axis=-2)
    expected = np.einsum("...c,ck,...k->...", rows, credit, columns)
    return divide(observed - expected, 1 - expected)


@dataclass(frozen=True)
class ListAgreement:
    """Agreement on each list, NaN where undefined. All arrays are [lists].

    `w`: Kendall's W with tie correction. `tau_b`: mean of Kendall's tau-b over pairs of raters.
    `raters`: how many ranked the list.
    """

    w: Floats
    tau_b: Floats
    raters: Integers


def list_agreement(unit: Integers, ranks: Floats, *, units: int) -> ListAgreement:
    """Kendall's W and mean tau-b of each list.

    `unit` is [votes]; `ranks` is [votes, longest list], lower is better, equal is tied, padded
    with NaN. With a rater's signs z over the pairs of positions, tau-b of two raters is the
    cosine of their signs, so its mean over all pairs follows from the sum of unit vectors; and
    with centred ranks d, W = |sum d|^2 / (m * sum |d|^2), tie correction included.
    """
    raters = np.bincount(unit, minlength=units)
    signs = pair_signs(ranks)
    length = np.sqrt((signs**2).sum(axis=1, keepdims=True))
    unit_vectors = np.nan_to_num(divide(signs, length))
    ranking = _sum_by(unit, (length > 0).astype(np.float64), units)[:, 0]
    cosines = (_sum_by(unit, unit_vectors, units) ** 2).sum(axis=1) - ranking
    centred = centred_ranks(ranks)
    total = (_sum_by(unit, centred, units) ** 2).sum(axis=1)
    spread = _sum_by(unit, (centred**2).sum(axis=1, keepdims=True), units)[:, 0]
    w = np.where(raters >= 2, divide(total, raters * spread), np.nan)
    return ListAgreement(w, divide(cosines, ranking * (ranking - 1)), raters)


def pair_signs(ranks: Floats) -> Floats:
    """Expand ranks [votes, k] into votes on pairs [votes, k(k-1)/2]: 1, 0 (tie) or -1.

    1 means that the earlier position is better. A pair with a padded (NaN) place is 0.
    """
    earlier, later = np.triu_indices(ranks.shape[1], k=1)
    return np.nan_to_num(np.sign(ranks[:, later] - ranks[:, earlier]))


def centred_ranks(ranks: Floats) -> Floats:
    """Average ranks less their mean [votes, k]: half of (positions beaten by - beaten)."""
    centred = np.zeros_like(ranks)
    for place in range(ranks.shape[1]):
        beaten = np.sign(ranks[:, place : place + 1] - ranks)
        centred[:, place] = np.nansum(beaten, axis=1) / 2
    return centred


def _sum_by(unit: Integers, rows: Floats, units: int) -> Floats:
    """Sum rows [votes, k] by unit into [units, k]."""
    sums = np.zeros((units, rows.shape[1]))
    for place in range(rows.shape[1]):
        sums[:, place] = np.bincount(unit, weights=rows[:, place], minlength=units)
    return sums
