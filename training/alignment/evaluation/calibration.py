"""Whether a stated probability is right as often as it says. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.alignment.estimates import FEWEST_CLUSTERS, Estimate, bootstrap, draws

BINS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Pairs of similar confidence: its mean, how often they were right, and how many."""

    confidence: float
    accuracy: Estimate
    count: int


def confidences(differences: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Of score differences [n]: P(the preferred side is right) in [0.5, 1], and how right it was.

    P = sigmoid(|difference|), Bradley and Terry's probability. `targets` [n] are the probabilities
    that the first side is the better one; 1 where the judges were sure. How right a side was is
    its share of the judges, so that a perfect model of unsure judges is calibrated and not always
    right.
    """
    confidence = 1.0 / (1.0 + np.exp(-np.abs(differences)))
    right = np.where(differences > 0, targets, 1.0 - targets)
    return confidence, np.where(differences == 0, 0.5, right)


def reliability(
    confidence: Floats,
    right: Floats,
    weights: Floats,
    clusters: Sequence[str],
    seed: int,
    *,
    bins: int = BINS,
) -> list[Bin]:
    """Bins of equal width over [0.5, 1], those that hold nothing left out.

    Raises ValueError for a confidence that lies elsewhere.
    """
    places = _places(confidence, bins)
    names = np.asarray(clusters)
    found = []
    for place in range(bins):
        inside = places == place
        if weights[inside].sum() <= 0:
            continue
        accuracy = bootstrap(right[inside], weights[inside], list(names[inside]), seed)
        mean = float(np.average(confidence[inside], weights=weights[inside]))
        found.append(Bin(mean, accuracy, int(inside.sum())))
    return found


def calibration_error(
    confidence: Floats,
    right: Floats,
    weights: Floats,
    clusters: Sequence[str],
    seed: int,
    *,
    bins: int = BINS,
) -> Estimate:
    """Expected calibration error: sum over bins of (w_b / w) |accuracy_b - confidence_b|.

    Guo et al. 2017 (arXiv 1706.04599, eq. 3) with bins of equal width over [0.5, 1]. The error of
    few pairs is biased upwards, for chance alone moves a bin off the diagonal; the interval of the
    bootstrap has that bias too.

    Raises ValueError for a confidence outside [0.5, 1].
    """
    places = _places(confidence, bins)
    gaps = (right - confidence) * weights
    names, index = np.unique(clusters, return_inverse=True)
    table = np.zeros((len(names), bins))
    np.add.at(table, (index, places), gaps)
    total = np.bincount(index, weights, minlength=len(names))
    value = float(np.abs(table.sum(axis=0)).sum() / total.sum())
    if len(names) < FEWEST_CLUSTERS:
        return {"value": value, "low": None, "high": None}
    errors = np.concatenate(
        [np.abs(block @ table).sum(axis=1) / (block @ total) for block in draws(len(names), seed)]
    )
    low, high = np.quantile(errors, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high)}


def _places(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each confidence; 1 stands in the last one."""
    wrong = confidence[~((confidence >= 0.5) & (confidence <= 1.0))]
    if len(wrong):
        raise ValueError(
            f"a confidence of {wrong[0]:g} is not that of the preferred side, between 0.5 and 1; "
            "see `confidences`"
        )
    return np.minimum(((confidence - 0.5) * 2 * bins).astype(np.int64), bins - 1)
