"""From several answers to one belief: what would a new, competent annotator answer?

Votes in classes are joined by Dawid and Skene's model (1979), which learns from the votes how
reliable each annotator is; with too few votes to learn that, by smoothed vote shares. Lists are
joined by mean ranks, and by the probability that one position is preferred to another.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from feedback.statistics.arrays import (
    Booleans,
    Floats,
    Integers,
    divide,
    shares,
)
from feedback.statistics.raters import centred_ranks, pair_signs

NO_MAJORITY = -1
VOTES_PER_CLASS = 5  # that an annotator needs before a confusion matrix says something
MINIMUM_SHARED_ITEMS = 10

Method = Literal["dawid_skene", "vote_shares"]


def majority(counts: Floats, *, rule: Literal["absolute", "plurality"] = "absolute") -> Integers:
    """Return the winning class of each unit [units], or NO_MAJORITY.

    "absolute" needs more than half of all votes of the unit; "plurality" more votes than every
    other class. Two classes with equally many votes never win: a tie between classes is no
    decision (a vote *for* a tie is a class of its own).
    """
    winner = counts.argmax(axis=1)
    best, total = counts.max(axis=1), counts.sum(axis=1)
    if rule == "absolute":
        decided = best > total / 2
    else:
        decided = (best > 0) & ((counts == best[:, None]).sum(axis=1) == 1)
    return np.where(decided, winner, NO_MAJORITY).astype(np.int64)


@dataclass(frozen=True)
class Aggregation:
    """Beliefs about units, and about the annotators who gave the votes.

    `truth` [units, classes]: probability of each unit's true class. `answer` [units, classes]:
    how a new competent annotator would answer. `confusion` [annotators, classes, classes]: how
    an annotator (first axis) answers (last axis) given the true class. `weight` [annotators]:
    0 for guessing, 1 for always right. `reason` says why the method is vote shares, if it is.
    """

    method: Method
    truth: Floats
    answer: Floats
    confusion: Floats
    weight: Floats
    prevalence: Floats
    iterations: int
    converged: bool
    smoothing: float
    reason: str = ""


def aggregate_votes(
    unit: Integers,
    annotator: Integers,
    category: Integers,
    *,
    units: int,
    annotators: int,
    categories: int,
    weight: Floats | None = None,
    smoothing: float = 4.0,
) -> Aggregation:
    """Join votes (each [votes]) by Dawid-Skene where it can be learned, else by vote shares.

    `weight` [votes] counts a vote more or less: see `dawid_skene`.
    """
    votes = _Votes(unit, annotator, category, units, annotators, categories, weight)
    reason = _why_not_learned(votes)
    if reason:
        return _vote_shares(votes, reason)
    return dawid_skene(
        unit, annotator, category,
        units=units, annotators=annotators, categories=categories, weight=weight,
        smoothing=smoothing,
    )  # fmt: skip


def dawid_skene(
    unit: Integers,
    annotator: Integers,
    category: Integers,
    *,
    units: int,
    annotators: int,
    categories: int,
    weight: Floats | None = None,
    smoothing: float = 4.0,
    tolerance: float = 1e-6,
    iterations: int = 200,
) -> Aggregation:
    """Fit Dawid and Skene's model (1979, eqs. 2.3-2.5) by EM from vote shares, in logarithms.

    An annotator may vote more than once on a unit. `smoothing` adds that many imagined votes
    per annotator and true class, spread as the whole group's votes for that class are, so that
    a newcomer is taken for an average annotator; 0 gives the paper's estimates. Stops when no
    probability moves by `tolerance`; smoothed like this, that takes some tens of steps.

    `weight` [votes] multiplies what a vote adds to the log-likelihood: its evidence about the
    unit (E-step) and its count in the annotator's confusion matrix (M-step). A vote of weight 2
    is worth the same vote twice, one of weight 0 none.
    """
    votes = _Votes(unit, annotator, category, units, annotators, categories, weight)
    truth = _vote_shares(votes, "").truth if smoothing else shares(votes.counts)
    step, converged = 0, False
    while step < iterations and not converged:
        step += 1
        confusion, prevalence = votes.maximise(truth, smoothing)
        updated = votes.expect(confusion, prevalence)
        converged = bool(np.abs(updated - truth).max(initial=0.0) < tolerance)
        truth = updated
    confusion, prevalence = votes.maximise(truth, smoothing)
    weight = _informedness(confusion)
    tallies = votes.tallies(truth)
    competent = _normalised(np.einsum("a,akl->kl", weight, tallies) + 1e-9 * np.eye(categories))
    return Aggregation(
        method="dawid_skene", truth=truth, answer=truth @ competent, confusion=confusion,
        weight=weight, prevalence=prevalence, iterations=step, converged=converged,
        smoothing=smoothing,
    )  # fmt: skip


@dataclass(frozen=True)
class _Votes:
    unit: Integers
    annotator: Integers
    category: Integers
    units: int
    annotators: int
    categories: int
    weight: Floats | None = None

    @property
    def counts(self) -> Floats:
        """How many votes each class of each unit has, as many as their weights say."""
        size = self.units * self.categories
        cells = np.bincount(
            self.unit * self.categories + self.category, weights=self.weight, minlength=size
        )
        return cells.reshape(self.units, self.categories).astype(np.float64)

    def weighted(self, values: Floats) -> Floats:
        """Values [votes] times the weights of the votes."""
        if self.weight is None:
            return values
        # The logarithm of an impossible answer is minus infinity, of which 0 times is nothing.
        nothing = np.zeros(len(values))
        return np.multiply(values, self.weight, out=nothing, where=self.weight > 0)

    def tallies(self, truth: Floats) -> Floats:
        """Expected votes [annotators, true class, answer] given the beliefs [units, classes]."""
        cell = self.annotator * self.categories + self.category
        size = self.annotators * self.categories
        by_class = [
            np.bincount(cell, weights=self.weighted(truth[self.unit, each]), minlength=size)
            for each in range(self.categories)
        ]
        table = np.stack(by_class).reshape(self.categories, self.annotators, self.categories)
        return np.asarray(table.transpose(1, 0, 2))

    def maximise(self, truth: Floats, smoothing: float) -> tuple[Floats, Floats]:
        """M-step: confusion matrices and the prevalence of the classes."""
        tallies = self.tallies(truth)
        if smoothing:
            tallies = tallies + smoothing * _normalised(tallies.sum(axis=0) + 1)
        voted = np.bincount(self.unit, minlength=self.units) > 0
        prevalence = truth[voted].sum(axis=0) + (1.0 if smoothing else 0.0)
        return _normalised(tallies), prevalence / prevalence.sum()

    def expect(self, confusion: Floats, prevalence: Floats) -> Floats:
        """E-step: the probability of each unit's true class [units, classes]."""
        with np.errstate(divide="ignore"):
            log_confusion, log_prior = np.log(confusion), np.log(prevalence)
        log_truth = np.tile(log_prior, (self.units, 1))
        for each in range(self.categories):
            evidence = self.weighted(log_confusion[self.annotator, each, self.category])
            log_truth[:, each] += np.bincount(self.unit, weights=evidence, minlength=self.units)
        return np.asarray(np.exp(log_truth - logsumexp(log_truth, axis=1, keepdims=True)))


def _why_not_learned(votes: _Votes) -> str:
    """Say why annotators cannot be told apart by their votes, or nothing if they can."""
    shared = int((np.bincount(votes.unit, minlength=votes.units) >= 2).sum())
    if shared < MINIMUM_SHARED_ITEMS:
        return (
            f"Only {shared} items have two votes or more; {MINIMUM_SHARED_ITEMS} are needed to "
            "learn how reliable each annotator is."
        )
    needed = VOTES_PER_CLASS * votes.categories
    given = np.bincount(votes.annotator, minlength=votes.annotators)
    if given[given >= needed].sum() < given.sum() / 2:
        return (
            f"Most votes come from annotators with fewer than {needed} votes, too few to learn "
            "how reliable each one is."
        )
    return ""


def _vote_shares(votes: _Votes, reason: str) -> Aggregation:
    """Smoothed shares: the group's shares count as one more vote on every unit."""
    counts = votes.counts
    prevalence = _normalised(counts.sum(axis=0) + 1)
    truth = _normalised(counts + prevalence)
    confusion = _normalised(votes.tallies(truth) + _normalised(np.eye(votes.categories) + 1))
    return Aggregation(
        method="vote_shares", truth=truth, answer=truth, confusion=confusion,
        weight=np.ones(votes.annotators), prevalence=prevalence, iterations=0, converged=True,
        smoothing=1.0, reason=reason,
    )  # fmt: skip


def _informedness(confusion: Floats) -> Floats:
    """Mean chance of the right answer [annotators], rescaled so that guessing is 0."""
    categories = confusion.shape[1]
    right = np.trace(confusion, axis1=1, axis2=2) / categories
    return np.asarray(np.clip((categories * right - 1) / max(categories - 1, 1), 0, 1))


def _normalised(table: Floats) -> Floats:
    """Divide rows by their sums; a row of zeros becomes uniform."""
    total = table.sum(axis=-1, keepdims=True)
    result = divide(table, total)
    uniform = 1 / table.shape[-1]
    filled: Floats = np.where(np.isnan(result), uniform, result)
    return filled


def probability_first(answer: Floats) -> Floats:
    """P(a new competent annotator prefers position 0) [units].

    `answer` is [units, 3] over second, tie, first; a tie is half a preference for either.
    """
    return np.asarray(answer[:, 2] + answer[:, 1] / 2)


@dataclass(frozen=True)
class ListAggregation:
    """Beliefs about lists, NaN at padded places.

    `mean_rank` and `borda` are [units, longest list]; Borda is the share of the other positions
    that a position beats, so it lies in 0..1 and higher is better. `preferred` is [units,
    longest, longest]: the probability that a new annotator puts the row's position before the
    column's. `votes` is [units].
    """

    mean_rank: Floats
    borda: Floats
    preferred: Floats
    votes: Integers


def aggregate_lists(
    unit: Integers,
    ranks: Floats,
    *,
    units: int,
    weight: Floats | None = None,
    said: Floats | None = None,
) -> ListAggregation:
    """Join rankings: `ranks` [votes, longest list], lower is better, equal is tied, NaN padded.

    `weight` [votes] counts a ranking more or less. `said` [votes, pairs] is P(i before j) for each
    pair in combinations order where a vote gives it, else NaN: it takes the place of the order of
    the ranks in `preferred`, and in nothing else. A pair's probability is (w + 1/2) / (n + 1),
    with w the weight of those who prefer the one (ties count half) and n of all: one imagined
    tie, so that a single vote is not certainty.
    """
    counted = np.ones(len(unit)) if weight is None else weight
    total = np.bincount(unit, weights=counted, minlength=units).astype(np.float64)
    places = ranks.shape[1]
    present = np.zeros((units, places), dtype=np.bool_)
    present[unit] = ~np.isnan(ranks)
    length = present.sum(axis=1, keepdims=True)
    centred = np.zeros((units, places))
    for place, column in enumerate(centred_ranks(ranks).T):
        centred[:, place] = np.bincount(unit, weights=counted * column, minlength=units)
    centred = np.where(present, divide(centred, total[:, None]), np.nan)
    return ListAggregation(
        mean_rank=centred + (length + 1) / 2,
        borda=0.5 - divide(centred, (length - 1).astype(np.float64)),
        preferred=_preferred(unit, _leads(ranks, said), counted, total, present),
        votes=np.bincount(unit, minlength=units),
    )


def _leads(ranks: Floats, said: Floats | None) -> Floats:
    """P(i before j) - P(j before i) [votes, pairs]."""
    signs = pair_signs(ranks)
    if said is None:
        return signs
    leads: Floats = np.where(np.isnan(said), signs, 2 * said - 1)
    return leads


def _preferred(
    unit: Integers, signs: Floats, counted: Floats, total: Floats, present: Booleans
) -> Floats:
    """The probability of each ordered pair of positions [units, places, places]."""
    units, places = present.shape
    table = np.full((units, places, places), np.nan)
    for pair, (row, column) in enumerate(np.transpose(np.triu_indices(places, k=1))):
        margin = np.bincount(unit, weights=counted * signs[:, pair], minlength=units)
        first = ((total + margin) / 2 + 0.5) / (total + 1)
        both = present[:, row] & present[:, column]
        table[:, row, column] = np.where(both, first, np.nan)
        table[:, column, row] = 1 - table[:, row, column]
    return table


def share_of_ups(ups: Floats, votes: Floats, *, smoothing: float = 0.5) -> Floats:
    """P(a new annotator gives a thumbs up) [units], by Jeffreys' rule: half a vote each way."""
    return np.asarray((ups + smoothing) / (votes + 2 * smoothing))
