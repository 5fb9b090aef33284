"""Do the judges agree? One report for a set of votes: people among themselves, and each judge.

Pairwise votes are strengths -3..3 (their sign is who won); thumbs are 0 and 1; lists are rank
vectors, which are expanded into pairs for the coefficients and kept whole for Kendall's W and
tau-b. Every figure comes with an interval from a bootstrap of whole prompts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from feedback.statistics.arrays import (
    Booleans,
    Floats,
    Integers,
    count_votes,
    distinct,
    divide,
    shares,
)
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.coefficients import (
    Coefficient,
    Level,
    alpha_of_coincidences,
    comparable,
    gwet_ac,
    krippendorff_alpha,
    percent_agreement,
)
from feedback.statistics.raters import kappa_of_joint, list_agreement, pair_signs

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

    def only(self, rows: Booleans) -> "VoteTable":
        """Keep the marked rows."""
        return VoteTable(
            self.unit[rows], self.rater[rows], self.value[rows], self.cluster[rows],
            self.is_judge[rows],
        )  # fmt: skip


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
    `alpha_ordinal`, and the people's `percent_by_unit` figures and alphas on the same items to
    read them against. The items of a list are its pairs of positions.
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
    ballot = _Ballot.of(people, kind)
    bootstrap = ClusterBootstrap(ballot.cluster, resamples, seed)
    estimates = _among(ballot.counts, bootstrap, kind)
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
    """Compare one judge with the people on the items that both judged."""
    units = int(max(people.unit.max(initial=0), judge.unit.max())) + 1
    shared = np.bincount(people.unit, minlength=units).astype(np.bool_)
    shared &= np.bincount(judge.unit, minlength=units).astype(np.bool_)
    mine = _Ballot.of(judge.only(shared[judge.unit]), kind)
    theirs = _Ballot.of(people.only(shared[people.unit]), kind)
    _, theirs_at, mine_at = np.intersect1d(
        theirs.key, mine.key, assume_unique=True, return_indices=True
    )
    counts, verdicts = theirs.counts[theirs_at], mine.counts[mine_at]
    bootstrap = ClusterBootstrap(theirs.cluster[theirs_at], resamples, seed)
    return JudgeFigures(
        rater=int(judge.rater[0]),
        votes=len(judge.unit),
        units_compared=int(shared.sum()),
        with_people=_between(counts, verdicts, bootstrap, kind),
        people_on_same_items=_among(counts, bootstrap, kind),
    )


@dataclass(frozen=True)
class _Ballot:
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
    def of(cls, votes: VoteTable, kind: Kind) -> "_Ballot":
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


def _among(counts: Floats, bootstrap: ClusterBootstrap, kind: Kind) -> dict[str, Estimate]:
    """Estimate the coefficients among the raters of one group."""
    chosen: dict[str, Coefficient] = {
        "percent": percent_agreement(weighting="pairs"),
        "percent_by_unit": percent_agreement(weighting="units"),
        "alpha_nominal": krippendorff_alpha("nominal"),
        "ac1": gwet_ac(counts.shape[1]),
    }
    if kind != "thumbs":
        chosen |= {
            "percent_no_ties": percent_agreement(weighting="pairs", without=SIGN_TIE),
            "percent_by_unit_no_ties": percent_agreement(weighting="units", without=SIGN_TIE),
            "alpha_ordinal": krippendorff_alpha("ordinal"),
        }
    return {name: _estimate(each, counts, bootstrap) for name, each in chosen.items()}


def _estimate(coefficient: Coefficient, counts: Floats, bootstrap: ClusterBootstrap) -> Estimate:
    decisive = coefficient.parameters.get("ties") == "dropped"
    used = comparable(np.delete(counts, SIGN_TIE, axis=1) if decisive else counts)
    return bootstrap.estimate(
        coefficient.terms(counts), coefficient.formula,
        used=used, method=coefficient.method, parameters=coefficient.parameters,
    )  # fmt: skip


def _between(
    people: Floats, judge: Floats, bootstrap: ClusterBootstrap, kind: Kind
) -> dict[str, Estimate]:
    """Compare a judge's votes with the people's on the same units (both [units, categories]).

    Percent is the mean over units of P(the judge's vote = the vote of a person drawn at
    random). Alpha takes each unit as a judge's vote beside such a person's.
    """
    found = {"percent": _match(people, judge, bootstrap, "kept")}
    if kind != "thumbs":
        decisive = [np.delete(counts, SIGN_TIE, axis=1) for counts in (people, judge)]
        found["percent_no_ties"] = _match(decisive[0], decisive[1], bootstrap, "dropped")
        found["alpha_ordinal"] = _alpha_between(people, judge, bootstrap, "ordinal")
    return found | {"alpha_nominal": _alpha_between(people, judge, bootstrap, "nominal")}


def _match(people: Floats, judge: Floats, bootstrap: ClusterBootstrap, ties: str) -> Estimate:
    used = np.asarray((people.sum(axis=1) > 0) & (judge.sum(axis=1) > 0))
    matched = (shares(people) * shares(judge)).sum(axis=1)
    return bootstrap.estimate(
        [matched, used.astype(np.float64)],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=used,
        method="match_with_random_person",
        parameters={"weighting": "units", "ties": ties},
    )


def _alpha_between(
    people: Floats, judge: Floats, bootstrap: ClusterBootstrap, level: Level
) -> Estimate:
    person, verdict = shares(people), shares(judge)
    categories = person.shape[1]

    def terms() -> Iterator[Floats]:
        for row in range(categories):
            for column in range(categories):
                yield person[:, row] * verdict[:, column] + verdict[:, row] * person[:, column]

    return bootstrap.estimate(
        terms(),
        lambda sums: alpha_of_coincidences(
            sums.reshape(*sums.shape[:-1], categories, categories), level
        ),
        used=np.ones(len(people), dtype=np.bool_),
        method="krippendorff_alpha",
        parameters={"level": level, "raters": "judge and a random person"},
    )


def _alpha_strength(people: VoteTable, bootstrap: ClusterBootstrap) -> Estimate:
    """Ordinal alpha on the seven strengths -3..3."""
    key, place = np.unique(people.unit, return_inverse=True)
    strength = (people.value + 3).astype(np.int64)
    counts = count_votes(place, strength, units=len(key), categories=7)
    return _estimate(krippendorff_alpha("ordinal"), counts, bootstrap)


def _kappa(ballot: _Ballot, is_first: Booleans, bootstrap: ClusterBootstrap) -> Estimate:
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
    whole = _Ballot.of(votes, kind)
    bootstrap = ClusterBootstrap(whole.cluster, resamples, seed)
    first, second = (_counted(whole, votes.only(rows), kind) for rows in (before, after))
    alpha = krippendorff_alpha("nominal" if kind == "thumbs" else "ordinal")
    chosen = {"percent": percent_agreement(weighting="pairs"), "alpha": alpha}
    return {
        name: AgreementChange(
            _estimate(each, first, bootstrap), _estimate(each, second, bootstrap),
            _difference(each, first, second, bootstrap),
        )
        for name, each in chosen.items()
    }  # fmt: skip


def _counted(whole: _Ballot, votes: VoteTable, kind: Kind) -> Floats:
    """The counts of some of the votes, in the rows of the whole ballot."""
    counts = np.zeros_like(whole.counts)
    if len(votes.unit):
        some = _Ballot.of(votes, kind)
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
