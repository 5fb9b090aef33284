"""From the votes on items to what is believed of them, under a policy.

A choice (pairwise or thumbs) is decided by the share of votes for its most frequent answer, or by
that answer's probability under Dawid-Skene. A list is decided by the order of its Borda scores;
its share is the mean, over pairs of responses, of the votes that order the pair alike.

Probabilities are of a new annotator's answer, with half an imagined vote either way, so that two
votes out of two are no certainty. A judge's vote goes into them with the probability that it gives
where it gives one, and into everything else with its answer; Dawid-Skene knows answers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from annotation.models import Kind
from feedback.disagreement import Disagreement, measure
from feedback.models import Adjudication, Policy, Preference
from feedback.selectors.votes import Votes
from feedback.statistics.aggregation import (
    aggregate_lists,
    aggregate_votes,
    probability_first,
    share_of_ups,
)
from feedback.statistics.arrays import Floats, Integers, shares
from feedback.statistics.raters import pair_signs

State = Preference.State
Cause = Preference.Cause
Verdict = Adjudication.Verdict
TIE = 1  # the place of a tie among worse, tie, better
# Shares that differ by less than this are equal: only rounding parts them.
SAME = 1e-9


@dataclass(frozen=True)
class Decision:
    """What the votes on one item come to, for one criterion."""

    item: int
    state: str
    outcome: dict[str, Any] = field(default_factory=dict)
    probabilities: list[float] = field(default_factory=list)
    agreement: float | None = None
    people: int = 0
    judges: int = 0
    judgments: list[int] = field(default_factory=list)
    adjudication: int | None = None
    # Why a reviewer is asked, if one is, and how far the votes lie apart.
    cause: str = ""
    disagreement: float | None = None


def counted(votes: Votes, policy: Policy) -> Votes:
    """Judges' verdicts count only where the policy says so."""
    return votes if policy.count_judges else votes.only(~votes.is_judge)


def decide(votes: Votes, kind: str, policy: Policy) -> Iterator[Decision]:
    """One decision for each item that has a counted vote, in the order of items."""
    everyone, votes = votes, counted(votes, policy)
    items, first, unit = np.unique(votes.item, return_index=True, return_inverse=True)
    if not len(items):
        return
    apart = _apart(everyone, items, kind, policy)
    measured = (_lists if kind == Kind.LISTWISE else _choices)(
        votes, unit.astype(np.int64), len(items), kind, policy
    )
    bounds = [*first.tolist(), len(votes)]
    for place, (item, one) in enumerate(zip(items.tolist(), measured, strict=True)):
        rows = slice(bounds[place], bounds[place + 1])
        judges = int(votes.is_judge[rows].sum())
        decision = _judged(one, policy, item, votes.judgment[rows].tolist(), judges)
        yield _reviewed(decision, one, apart, place)


@dataclass(frozen=True)
class _Measured:
    """An outcome before the policy has spoken; `clear` is false for a dead heat."""

    outcome: dict[str, Any]
    probabilities: list[float]
    agreement: float
    is_tie: bool
    clear: bool


def _judged(
    one: _Measured, policy: Policy, item: int, judgments: list[int], judges: int
) -> Decision:
    voted = Decision(
        item, State.WAITING, people=len(judgments) - judges, judges=judges, judgments=judgments
    )
    agreement = round(one.agreement, 6)
    if len(judgments) < policy.min_judgments:
        return voted
    if not one.clear or agreement < policy.min_agreement - SAME:
        state = State.CONTESTED
    else:
        state = State.TIED if one.is_tie else State.ACCEPTED
    probabilities = [round(value, 6) for value in one.probabilities]
    return replace(
        voted,
        state=state,
        outcome=one.outcome,
        probabilities=probabilities,
        agreement=agreement,
    )


def _apart(votes: Votes, items: Integers, kind: str, policy: Policy) -> Disagreement:
    """Judges' verdicts are compared with people's whether or not they count."""
    votes = votes.only(np.isin(votes.item, items))
    counts = np.full(len(votes), True) if policy.count_judges else ~votes.is_judge
    unit = np.searchsorted(items, votes.item).astype(np.int64)
    return measure(votes, counts, unit, len(items), kind)


def _reviewed(decision: Decision, one: _Measured, apart: Disagreement, place: int) -> Decision:
    """Whether a reviewer is asked: where it is contested, or judges as a whole say otherwise."""
    if decision.state == State.CONTESTED:
        cause = Cause.SPLIT if one.clear else Cause.EVEN
        return replace(
            decision, cause=cause, disagreement=round(float(apart.among_counted[place]), 6)
        )
    if decision.state == State.WAITING or not apart.judges_oppose[place]:
        return decision
    return replace(
        decision, cause=Cause.JUDGES, disagreement=round(float(apart.with_judges[place]), 6)
    )


def _choices(
    votes: Votes, unit: Integers, units: int, kind: str, policy: Policy
) -> Iterator[_Measured]:
    belief = _believe(votes, unit, units, kind, policy)
    winner, top = belief.share.argmax(axis=1), belief.share.max(axis=1)
    clear = (belief.share > top[:, None] - SAME).sum(axis=1) == 1
    if kind == Kind.THUMBS:
        outcomes: list[dict[str, Any]] = [{"thumb": int(one)} for one in winner]
    else:
        outcomes = _strengths(votes, unit, units, winner)
    for place, outcome in enumerate(outcomes):
        yield _Measured(
            outcome,
            [float(belief.first[place])],
            float(top[place]),
            is_tie=kind == Kind.PAIRWISE and bool(winner[place] == TIE),
            clear=bool(clear[place]),
        )


@dataclass(frozen=True)
class _Belief:
    """`share` [units, answers] decides; `first` [units] is how a new annotator would answer."""

    share: Floats
    first: Floats


def _believe(votes: Votes, unit: Integers, units: int, kind: str, policy: Policy) -> _Belief:
    is_thumbs = kind == Kind.THUMBS
    category = (votes.value if is_thumbs else np.sign(votes.value) + 1).astype(np.int64)
    categories = 2 if is_thumbs else 3
    if policy.aggregation == Policy.Aggregation.DAWID_SKENE:
        annotators, annotator = np.unique(votes.annotator, return_inverse=True)
        joined = aggregate_votes(
            unit, annotator.astype(np.int64), category,
            units=units, annotators=len(annotators), categories=categories, weight=votes.weight,
        )  # fmt: skip
        if joined.method == "dawid_skene":
            first = joined.answer[:, 1] if is_thumbs else probability_first(joined.answer)
            return _Belief(joined.truth, first)
    cells = np.bincount(
        unit * categories + category, weights=votes.weight, minlength=units * categories
    )
    counts: Floats = cells.reshape(units, categories).astype(np.float64)
    weighed = votes.weight * _ups(votes, kind)
    ups: Floats = np.bincount(unit, weights=weighed, minlength=units).astype(np.float64)
    return _Belief(shares(counts), share_of_ups(ups, counts.sum(axis=1)))


def _ups(votes: Votes, kind: str) -> Floats:
    """How much of a vote [votes] is for the first (thumbs: for up): what a judge says it is, else
    all, nothing, or half of a tie."""
    given: Floats = votes.value if kind == Kind.THUMBS else (np.sign(votes.value) + 1) / 2
    if not votes.probability.shape[1]:
        return given
    said = votes.probability[:, 0]
    ups: Floats = np.where(np.isnan(said), given, said)
    return ups


def _strengths(votes: Votes, unit: Integers, units: int, winner: Integers) -> list[dict[str, Any]]:
    """How strongly those who chose the winning answer preferred it, on average.

    Under Dawid-Skene an answer can win that nobody gave, against annotators who mostly err: then
    it is the least that has its sign.
    A tie is of two bad responses where at least half of those who saw a tie found both bad.
    """
    with_winner = (np.sign(votes.value) + 1 == winner[unit]) * votes.weight
    total = np.bincount(unit, weights=with_winner * votes.value, minlength=units)
    weight = np.bincount(unit, weights=with_winner, minlength=units)
    means = np.divide(total, weight, out=winner - 1.0, where=weight > 0)
    bad = np.bincount(unit, weights=with_winner * votes.both_bad, minlength=units)
    both_bad = (winner == TIE) & (bad > 0) & (2 * bad >= weight)
    return [
        {"strength": round(float(mean), 6) + 0.0, "both_bad": bool(flag)}
        for mean, flag in zip(means, both_bad, strict=True)
    ]


def _lists(
    votes: Votes, unit: Integers, units: int, kind: str, policy: Policy
) -> Iterator[_Measured]:
    """The policy's aggregation is about choices; lists are always joined by Borda scores."""
    said = votes.probability if votes.probability.shape[1] else None
    joined = aggregate_lists(unit, votes.value, units=units, weight=votes.weight, said=said)
    earlier, later = np.triu_indices(votes.value.shape[1], k=1)
    borda = np.round(joined.borda, 6)
    consensus = np.sign(borda[:, earlier] - borda[:, later])
    alike = _alike(votes, unit, units, consensus)
    bounds = np.searchsorted(unit, np.arange(units + 1))
    for place in range(units):
        scores = borda[place][~np.isnan(borda[place])]
        ranks = np.unique(-scores, return_inverse=True)[1] + 1
        inside = later < len(scores)
        yield _Measured(
            _list_outcome(votes.only(slice(bounds[place], bounds[place + 1])), ranks),
            joined.preferred[place, earlier[inside], later[inside]].tolist(),
            float(alike[place, inside].mean()),
            is_tie=int(ranks.max()) == 1,
            clear=True,
        )


def _alike(votes: Votes, unit: Integers, units: int, consensus: Floats) -> Floats:
    """The share of votes [units, pairs] that order a pair as the consensus does."""
    same = (pair_signs(votes.value) == consensus[unit]) * votes.weight[:, None]
    total = np.bincount(unit, weights=votes.weight, minlength=units)
    columns = [np.bincount(unit, weights=column, minlength=units) / total for column in same.T]
    return np.stack(columns, axis=1)


def _list_outcome(votes: Votes, ranks: Integers) -> dict[str, Any]:
    outcome: dict[str, Any] = {"ranks": ranks.tolist()}
    line = _acceptable_to(ranks, votes.weight, votes.value[:, : len(ranks)], votes.acceptable_to)
    return outcome if line is None else {**outcome, "acceptable_to": line}


def _acceptable_to(order: Integers, weight: Floats, ranks: Floats, line: Floats) -> int | None:
    """The last rank down to which all responses are acceptable to most of those who said so."""
    said = ~np.isnan(line)
    if not said.any():
        return None
    accepts = weight[said] @ (ranks[said] <= line[said, None]) / weight[said].sum() > 0.5
    last = 0
    for rank in range(1, int(order.max()) + 1):
        if not accepts[order == rank].all():
            break
        last = rank
    return last


def overruled(decision: Decision, adjudication: Adjudication | None) -> Decision:
    """The reviewer's word, if there is one, in place of the votes; those are told all the same."""
    if adjudication is None or adjudication.verdict not in (Verdict.DECIDED, Verdict.EXCLUDED):
        return decision
    is_decided = adjudication.verdict == Verdict.DECIDED
    outcome, probabilities = _word_of(adjudication) if is_decided else ({}, [])
    return replace(
        decision,
        state=State.ADJUDICATED if is_decided else State.EXCLUDED,
        outcome=outcome,
        probabilities=probabilities,
        adjudication=adjudication.pk,
        cause="",
        disagreement=None,
    )


def _word_of(adjudication: Adjudication) -> tuple[dict[str, Any], list[float]]:
    if adjudication.strength is not None:
        outcome = {"strength": float(adjudication.strength), "both_bad": adjudication.both_bad}
        return outcome, [(1 + float(np.sign(adjudication.strength))) / 2]
    if adjudication.thumb is not None:
        return {"thumb": adjudication.thumb}, [float(adjudication.thumb)]
    ranks = adjudication.ranks or []
    certain = [
        (1 + float(np.sign(later - earlier))) / 2 for earlier, later in combinations(ranks, 2)
    ]
    line = adjudication.acceptable_to
    return {"ranks": ranks} | ({} if line is None else {"acceptable_to": line}), certain
