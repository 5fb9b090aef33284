"""Do the judges agree? One report for a set of votes: people among themselves, and each judge.

Pairwise votes are strengths -3..3 (their sign is who won); thumbs are 0 and 1; lists are rank
vectors, which are expanded into pairs for the coefficients and kept whole for Kendall's W and
tau-b. Every figure comes with an interval from a bootstrap of whole prompts.
"""

from dataclasses import dataclass

import numpy as np

from feedback.statistics.arrays import (
    Booleans,
    Floats,
    count_votes,
    distinct,
    divide,
)
from feedback.statistics.ballots import Ballot, Kind, VoteTable
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.coefficients import (
    Coefficient,
    comparable,
    krippendorff_alpha,
    percent_agreement,
)
from feedback.statistics.comparisons import among, estimate
from feedback.statistics.judge_agreement import Both, agreement_beside_people
from feedback.statistics.raters import kappa_of_joint, list_agreement

# What a judge's card calls the same figures.
WITH_PEOPLE = {
    "percent": "agreement",
    "percent_no_ties": "agreement_no_ties",
    "alpha_ordinal": "alpha_ordinal",
    "alpha_nominal": "alpha_nominal",
}
PEOPLE_ON_SAME_ITEMS = {
    "percent_by_unit": "people",
    "percent_by_unit_no_ties": "people_no_ties",
    "alpha_nominal": "people_alpha_nominal",
    "alpha_ordinal": "people_alpha_ordinal",
}


@dataclass(frozen=True)
class GroupFigures:
    """How well a group of people agrees. `estimates` by name: see `agreement_report`."""

    votes: int
    raters: int
    units: int
    units_compared: int
    clusters: int
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class JudgeFigures:
    """How well one judge agrees with people, and people among themselves on the same items."""

    rater: int
    votes: int
    units_compared: int
    with_people: dict[str, Estimate]
    people_on_same_items: dict[str, Estimate]


@dataclass(frozen=True)
class AgreementFigures:
    """A whole report; `resamples`, `seed` and `level` are echoed so that it can be repeated."""

    kind: Kind
    resamples: int
    seed: int
    level: float
    people: GroupFigures
    judges: tuple[JudgeFigures, ...]


def agreement_report(
    votes: VoteTable, *, kind: Kind, resamples: int = 1_000, seed: int = 0
) -> AgreementFigures:
    """Compute every figure of agreement that suits `kind`.

    People: `percent` (pair-weighted, ties kept), `percent_no_ties`, `percent_by_unit`,
    `percent_by_unit_no_ties`, `alpha_nominal`, `alpha_ordinal`, `ac1`; `alpha_strength` where
    strengths were given, `cohen_kappa` where there are just two raters, `kendall_w` and `tau_b`
    for lists. Judges, one by one: `percent`, `percent_no_ties`, `alpha_nominal`,
    `alpha_ordinal`, and the people's `percent_by_unit` figures and alphas to read them against, on
    the same items: those that two people answered. The items of a list are its pairs of positions.
    """
    people = votes.only(~votes.is_judge)
    judges = votes.only(votes.is_judge)
    return AgreementFigures(
        kind=kind,
        resamples=resamples,
        seed=seed,
        level=ClusterBootstrap.level,
        people=_people(people, kind, resamples, seed),
        judges=tuple(
            _judge(people, judges.only(judges.rater == rater), kind, resamples, seed)
            for rater in np.flatnonzero(np.bincount(judges.rater))
        ),
    )


def _people(people: VoteTable, kind: Kind, resamples: int, seed: int) -> GroupFigures:
    ballot = Ballot.of(people, kind)
    bootstrap = ClusterBootstrap(ballot.cluster, resamples, seed)
    estimates = among(ballot.counts, bootstrap, kind)
    raters = np.flatnonzero(np.bincount(people.rater))
    if kind == "pairwise" and np.any(np.abs(people.value) > 1):
        estimates["alpha_strength"] = _alpha_strength(people, bootstrap)
    if kind == "listwise":
        estimates |= _lists(people, resamples, seed)
    elif len(raters) == 2:
        estimates["cohen_kappa"] = _kappa(ballot, people.rater == raters[0], bootstrap)
    voted = np.bincount(people.unit)
    return GroupFigures(
        votes=len(people.unit),
        raters=len(raters),
        units=int((voted > 0).sum()),
        units_compared=int((voted > 1).sum()),
        clusters=distinct(people.cluster),
        estimates=estimates,
    )


def _judge(
    people: VoteTable, judge: VoteTable, kind: Kind, resamples: int, seed: int
) -> JudgeFigures:
    """Compare one judge with the people, and them with each other, on the same items."""
    both = Both.of(people, judge, kind, resamples, seed)
    found = agreement_beside_people(both)
    with_people, among_people = (
        {name: found[key] for name, key in keys.items() if key in found}
        for keys in (WITH_PEOPLE, PEOPLE_ON_SAME_ITEMS)
    )
    return JudgeFigures(
        rater=int(judge.rater[0]),
        votes=len(judge.unit),
        units_compared=len(np.intersect1d(people.unit, judge.unit)),
        with_people=with_people,
        people_on_same_items=among_people,
    )


def _alpha_strength(people: VoteTable, bootstrap: ClusterBootstrap) -> Estimate:
    """Ordinal alpha on the seven strengths -3..3."""
    key, place = np.unique(people.unit, return_inverse=True)
    strength = (people.value + 3).astype(np.int64)
    counts = count_votes(place, strength, units=len(key), categories=7)
    return estimate(krippendorff_alpha("ordinal"), counts, bootstrap)


def _kappa(ballot: Ballot, is_first: Booleans, bootstrap: ClusterBootstrap) -> Estimate:
    """Cohen's kappa of the only two raters."""
    units, categories = ballot.counts.shape
    first, second = (
        count_votes(ballot.place[rows], ballot.category[rows], units=units, categories=categories)
        for rows in (is_first, ~is_first)
    )
    joint = (first[:, row] * second[:, column] for row in range(categories)
             for column in range(categories))  # fmt: skip

    def formula(sums: Floats) -> Floats:
        table = divide(sums, sums.sum(axis=-1, keepdims=True))
        square = table.reshape(*sums.shape[:-1], categories, categories)
        return kappa_of_joint(square, np.eye(categories))

    used = comparable(ballot.counts)
    return bootstrap.estimate(joint, formula, used=used, method="cohen_kappa")


def _lists(people: VoteTable, resamples: int, seed: int) -> dict[str, Estimate]:
    """Kendall's W and tau-b as means over lists."""
    key, first, place = np.unique(people.unit, return_index=True, return_inverse=True)
    agreement = list_agreement(place, people.value, units=len(key))
    bootstrap = ClusterBootstrap(people.cluster[first], resamples, seed)
    return {
        "kendall_w": _mean(agreement.w, bootstrap, "kendall_w"),
        "tau_b": _mean(agreement.tau_b, bootstrap, "kendall_tau_b"),
    }


def _mean(values: Floats, bootstrap: ClusterBootstrap, method: str) -> Estimate:
    defined = ~np.isnan(values)
    return bootstrap.estimate(
        [np.nan_to_num(values), defined.astype(np.float64)],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=defined,
        method=method,
        parameters={"weighting": "lists"},
    )


@dataclass(frozen=True)
class AgreementChange:
    """A figure among some of the votes, among others of them, and the difference between both.

    The difference has an interval of its own: both rest on the same items, so that it is known
    better than either.
    """

    before: Estimate
    after: Estimate
    difference: Estimate


def agreement_change(
    votes: VoteTable,
    before: Booleans,
    after: Booleans,
    *,
    kind: Kind,
    resamples: int = 1_000,
    seed: int = 0,
) -> dict[str, AgreementChange]:
    """How agreement changes when other votes count: those marked `after` (each [votes])."""
    whole = Ballot.of(votes, kind)
    bootstrap = ClusterBootstrap(whole.cluster, resamples, seed)
    first, second = (_counted(whole, votes.only(rows), kind) for rows in (before, after))
    alpha = krippendorff_alpha("nominal" if kind == "thumbs" else "ordinal")
    chosen = {"percent": percent_agreement(weighting="pairs"), "alpha": alpha}
    return {
        name: AgreementChange(
            estimate(each, first, bootstrap), estimate(each, second, bootstrap),
            _difference(each, first, second, bootstrap),
        )
        for name, each in chosen.items()
    }  # fmt: skip


def _counted(whole: Ballot, votes: VoteTable, kind: Kind) -> Floats:
    """The counts of some of the votes, in the rows of the whole ballot."""
    counts = np.zeros_like(whole.counts)
    if len(votes.unit):
        some = Ballot.of(votes, kind)
        counts[np.searchsorted(whole.key, some.key)] = some.counts
    return counts


def _difference(
    coefficient: Coefficient, first: Floats, second: Floats, bootstrap: ClusterBootstrap
) -> Estimate:
    terms = [*coefficient.terms(first)]
    size = len(terms)

    def formula(sums: Floats) -> Floats:
        return coefficient.formula(sums[..., size:]) - coefficient.formula(sums[..., :size])

    return bootstrap.estimate(
        [*terms, *coefficient.terms(second)], formula,
        used=comparable(first) | comparable(second),
        method=f"difference of {coefficient.method}", parameters=coefficient.parameters,
    )  # fmt: skip
