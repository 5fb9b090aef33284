"""Who wins: win rates, and Bradley-Terry ratings of generators, with intervals by prompt."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from feedback.statistics.arrays import Floats, Integers, distinct, divide
from feedback.statistics.bootstrap import (
    MINIMUM_CLUSTERS,
    ClusterBootstrap,
    Estimate,
    too_few,
)


@dataclass(frozen=True)
class WinRate:
    """How often A was preferred to B: `rate` counts a tie as half a win."""

    wins: int
    ties: int
    losses: int
    rate: Estimate


def win_rate(sign: Floats, cluster: Integers, *, resamples: int = 1_000, seed: int = 0) -> WinRate:
    """Estimate the win rate of A against B from comparisons.

    `sign` [comparisons] is positive where A was preferred, 0 for a tie; `cluster` is the prompt
    of each. The interval resamples whole prompts.
    """
    outcome = np.asarray((np.sign(sign) + 1) / 2)
    every = np.ones(len(outcome), dtype=np.bool_)
    rate = ClusterBootstrap(cluster, resamples, seed).estimate(
        [outcome, every.astype(np.float64)],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=every,
        method="win_rate",
        parameters={"ties": "half"},
    )
    wins, losses = int((sign > 0).sum()), int((sign < 0).sum())
    return WinRate(wins, len(outcome) - wins - losses, losses, rate)


@dataclass(frozen=True)
class Ratings:
    """Bradley-Terry ratings; all arrays are [generators].

    `score` is the log-odds of beating an average generator, and `low` and `high` its interval
    (NaN with a `reason` under ten prompts). `rank` is 1 + the number of generators that are
    surely better: whose interval lies above. `beats` [generators, generators] is the
    probability that the row's generator is preferred to the column's.
    """

    score: Floats
    low: Floats
    high: Floats
    rank: Integers
    beats: Floats
    games: Integers
    clusters: int
    level: float
    prior: float
    reason: str = ""

    @property
    def elo(self) -> Floats:
        """The scores on the scale of chess, where 400 points are odds of ten to one."""
        return np.asarray(1000 + self.score * 400 / np.log(10))


def bradley_terry(
    first: Integers,
    second: Integers,
    sign: Floats,
    cluster: Integers,
    *,
    generators: int,
    prior: float = 0.5,
    level: float = 0.95,
) -> Ratings:
    """Rate generators by P(i is preferred to j) = sigmoid(score_i - score_j); ties are half wins.

    All arrays are [comparisons]. `prior` is the number of imagined wins, and as many losses, of
    each generator against an average one: without any, a generator that never lost would be
    rated infinite. Intervals are the sandwich (Huber-White), with the scores of all comparisons
    on one prompt summed before they are squared, and t quantiles for the number of prompts.
    """
    outcome = np.asarray((np.sign(sign) + 1) / 2)
    wins = _sums_by_pair(first, second, outcome, generators)
    wins += _sums_by_pair(second, first, 1 - outcome, generators)
    score = _fit(wins, prior)
    clusters = distinct(cluster)
    low = high = np.full(generators, np.nan)
    if clusters >= MINIMUM_CLUSTERS:
        surprise = outcome - _sigmoid(score[first] - score[second])
        error = _sandwich(first, second, surprise, cluster, _curvature(wins, score, prior))
        reach = stats.t.ppf((1 + level) / 2, clusters - 1) * error
        low, high = score - reach, score + reach
    return Ratings(
        score=score, low=low, high=high,
        rank=1 + (low[None, :] > high[:, None]).sum(axis=1),
        beats=_sigmoid(score[:, None] - score[None, :]),
        games=np.bincount(np.concatenate([first, second]), minlength=generators),
        clusters=clusters, level=level, prior=prior,
        reason="" if clusters >= MINIMUM_CLUSTERS else too_few(clusters),
    )  # fmt: skip


def _sums_by_pair(row: Integers, column: Integers, amount: Floats, size: int) -> Floats:
    cells = np.bincount(row * size + column, weights=amount, minlength=size * size)
    return cells.reshape(size, size).astype(np.float64)


def _fit(wins: Floats, prior: float) -> Floats:
    """Maximise the posterior by Newton's method; concave, so that a damped step always rises."""
    size = len(wins)
    score = np.zeros(size)
    for _ in range(100):
        expected = (wins + wins.T) * _sigmoid(score[:, None] - score[None, :])
        slope = (wins - expected).sum(axis=1) + prior * (1 - 2 * _sigmoid(score))
        step = np.linalg.pinv(_curvature(wins, score, prior)) @ slope
        score = score + step / max(1.0, float(np.abs(step).max(initial=0.0)))
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return np.asarray(score - score.mean()) if size else score


def _curvature(wins: Floats, score: Floats, prior: float) -> Floats:
    """Minus the second derivative of the log posterior [generators, generators]."""
    chance = _sigmoid(score[:, None] - score[None, :])
    weight = (wins + wins.T) * chance * (1 - chance)
    average = _sigmoid(score)
    diagonal = weight.sum(axis=1) + 2 * prior * average * (1 - average)
    return np.asarray(np.diag(diagonal) - weight)


def _sandwich(
    first: Integers, second: Integers, surprise: Floats, cluster: Integers, curvature: Floats
) -> Floats:
    """Standard errors [generators] of scores that are centred on their mean."""
    size = len(curvature)
    _, place = np.unique(cluster, return_inverse=True)
    clusters = int(place.max()) + 1
    slopes = np.zeros((clusters, size))
    np.add.at(slopes, (place, first), surprise)
    np.add.at(slopes, (place, second), -surprise)
    centred = (np.eye(size) - 1 / size) @ np.linalg.pinv(curvature)
    variance = centred @ (slopes.T @ slopes) @ centred.T * clusters / (clusters - 1)
    return np.sqrt(np.clip(np.diag(variance), 0, None))


def _sigmoid(difference: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-difference)))
