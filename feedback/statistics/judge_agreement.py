"""How well a judge agrees: with people, beside people with each other, with what is accepted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, Integers, distinct, divide, shares
from feedback.statistics.ballots import SIGN_TIE, Ballot, Kind, VoteTable
from feedback.statistics.bootstrap import MINIMUM_CLUSTERS, ClusterBootstrap, Estimate
from feedback.statistics.coefficients import percent_agreement
from feedback.statistics.comparisons import among, between, estimate, match_with_person
from feedback.statistics.judge_evidence import Evidence
from feedback.statistics.raters import kappa_of_joint
from feedback.statistics.rates import rate


@dataclass(frozen=True)
class Both:
    """The units that people and the judge have both judged: counts of either [units, answers]."""

    kind: Kind
    key: Integers
    cluster: Integers
    counts: Floats
    verdicts: Floats
    pairs: int
    resamples: int
    seed: int

    @classmethod
    def of(cls, people: VoteTable, judge: VoteTable, kind: Kind, resamples: int, seed: int) -> Both:
        theirs, mine = Ballot.of(people, kind), Ballot.of(judge, kind)
        key, theirs_at, mine_at = np.intersect1d(
            theirs.key, mine.key, assume_unique=True, return_indices=True
        )
        width = judge.value.shape[1] if judge.value.ndim > 1 else 2
        return cls(
            kind, key, theirs.cluster[theirs_at], theirs.counts[theirs_at], mine.counts[mine_at],
            width * (width - 1) // 2 if kind == "listwise" else 1, resamples, seed,
        )  # fmt: skip

    @property
    def item(self) -> Integers:
        return self.key // self.pairs

    @cached_property
    def bootstrap(self) -> ClusterBootstrap:
        return ClusterBootstrap(self.cluster, self.resamples, self.seed)

    def only(self, rows: Booleans) -> Both:
        return replace(
            self, key=self.key[rows], cluster=self.cluster[rows], counts=self.counts[rows],
            verdicts=self.verdicts[rows],
        )  # fmt: skip

    def rate(self, hit: Floats, weight: Floats, method: str, *, is_share: bool = True) -> Estimate:
        return rate(hit, weight, self.bootstrap, method=method, is_share=is_share)


def agreement_beside_people(both: Both) -> dict[str, Estimate]:
    """Of the judge and of people on the same items: those with two people's answers.

    Without ten prompts of such items the judge is compared on all, and people cannot be.
    """
    same = both.only(both.counts.sum(axis=1) >= 2)
    mine = _enough(same, both)
    judge = between(mine.counts, mine.verdicts, mine.bootstrap, both.kind)
    people = among(same.counts, same.bootstrap, both.kind)
    found = {
        "agreement": judge["percent"],
        "people": people["percent_by_unit"],
        "difference": _difference(same),
        "alpha_nominal": judge["alpha_nominal"],
        "people_alpha_nominal": people["alpha_nominal"],
    }
    if both.kind != "thumbs":
        found |= {
            "alpha_ordinal": judge["alpha_ordinal"],
            "people_alpha_ordinal": people["alpha_ordinal"],
        } | _without_ties(both)
    return found


def _enough(same: Both, every: Both) -> Both:
    return same if distinct(same.cluster) >= MINIMUM_CLUSTERS else every


def _without_ties(both: Both) -> dict[str, Estimate]:
    """Of votes that prefer a side, on the items where the judge and two people do."""
    people, judge = (np.delete(each, SIGN_TIE, axis=1).sum(axis=1)
                     for each in (both.counts, both.verdicts))  # fmt: skip
    same = both.only((people >= 2) & (judge >= 1))
    mine = _enough(same, both)
    among_people = percent_agreement(weighting="units", without=SIGN_TIE)
    return {
        "agreement_no_ties": match_with_person(
            mine.counts, mine.verdicts, mine.bootstrap, without=SIGN_TIE
        ),
        "people_no_ties": estimate(among_people, same.counts, same.bootstrap),
    }


def _difference(same: Both) -> Estimate:
    """The judge's percent less the people's: both rest on the same items, so it is known better
    than either."""
    matched = (shares(same.counts) * shares(same.verdicts)).sum(axis=1)
    people = percent_agreement(weighting="units")

    def formula(sums: Floats) -> Floats:
        return divide(sums[..., 0], sums[..., 1]) - people.formula(sums[..., 2:])

    every: Booleans = np.ones(len(matched), dtype=np.bool_)
    return same.bootstrap.estimate(
        [matched, every.astype(np.float64), *people.terms(same.counts)],
        formula, used=every, method="difference of agreement",
    )  # fmt: skip


def majority_of(counts: Floats) -> Integers:
    """The most frequent answer [units] of counts [units, answers]; -1 where nobody answered.

    People who are evenly divided prefer neither side: that is a tie, and of thumbs nothing (-1).
    """
    top = counts.max(axis=1)
    is_clear = (counts == top[:, None]).sum(axis=1) == 1
    divided = -1 if counts.shape[1] == 2 else SIGN_TIE
    found = np.where(is_clear, counts.argmax(axis=1), divided)
    return np.where(top > 0, found, -1).astype(np.int64)


def beside_majority(both: Both) -> dict[str, Estimate]:
    """The judge and the majority of all people; and what can be read beside a person's: the judge
    and a person against the majority of the others."""
    majority, verdict = majority_of(both.counts), both.verdicts.argmax(axis=1)
    found = _against(both, majority, verdict, "majority") | _one_left_out(both, verdict)
    found["kappa"] = _kappa(both, majority, verdict, majority >= 0)
    if both.kind != "thumbs":
        decisive = _decisive(majority) & _decisive(verdict)
        found["kappa_decisive"] = _kappa(both, majority, verdict, decisive)
        found |= _one_left_out(both, verdict, is_decisive=True)
    return found


def _decisive(answer: Integers) -> Booleans:
    return np.asarray((answer >= 0) & (answer != SIGN_TIE))


def _against(both: Both, truth: Integers, verdict: Integers, name: str) -> dict[str, Estimate]:
    """The share of verdicts equal to `truth` (-1 where there is none), ties kept and dropped."""
    equal = (truth == verdict).astype(np.float64)
    known = (truth >= 0).astype(np.float64)
    found = {name: both.rate(equal * known, known, f"match_with_{name}")}
    if both.kind != "thumbs":
        decisive = (_decisive(truth) & _decisive(verdict)).astype(np.float64)
        method = f"match_with_{name}_both_decisive"
        found[f"{name}_decisive"] = both.rate(equal * decisive, decisive, method)
    return found


def _one_left_out(
    both: Both, verdict: Integers, *, is_decisive: bool = False
) -> dict[str, Estimate]:
    """Each vote in turn is left out; it and the judge's are held against the majority of the
    others: the same votes of others for both, so that a judge who answers as people do gets what
    they get. Against the majority of all it would get more, having one voter more before it.

    A vote weighs one over its unit's votes, whatever the others say: units weigh alike, and which
    votes can be compared does not hang on how they fell out. With `is_decisive` the majority,
    the judge and the vote prefer a side.
    """
    judge, person, compared = (np.zeros(len(both.key)) for _ in range(3))
    for answer in range(both.counts.shape[1]):
        if is_decisive and answer == SIGN_TIE:
            continue
        others = both.counts.copy()
        others[:, answer] -= 1
        majority = majority_of(others.clip(min=0))
        used = _decisive(majority) & _decisive(verdict) if is_decisive else majority >= 0
        weight = used * shares(both.counts)[:, answer]
        judge += weight * (majority == verdict)
        person += weight * (majority == answer)
        compared += weight
    end, method = ("_decisive", "_both_decisive") if is_decisive else ("", "")
    return {
        f"{name}{end}": both.rate(hits, compared, f"match_with_majority_of_the_others{method}")
        for name, hits in (("others_majority", judge), ("person_majority", person))
    }


def _kappa(both: Both, truth: Integers, verdict: Integers, used: Booleans) -> Estimate:
    answers = both.counts.shape[1]
    cells = [
        ((truth == row) & (verdict == column) & used).astype(np.float64)
        for row in range(answers)
        for column in range(answers)
    ]

    def formula(sums: Floats) -> Floats:
        joint = divide(sums, sums.sum(axis=-1, keepdims=True))
        return kappa_of_joint(joint.reshape(*sums.shape[:-1], answers, answers), np.eye(answers))

    return both.bootstrap.estimate(cells, formula, used=used, method="cohen_kappa")


def beside_accepted(both: Both, evidence: Evidence) -> dict[str, Estimate]:
    """Against what was accepted without any judge's say."""
    sign = evidence.accepted.at(both.key)
    shift = 0 if both.kind == "thumbs" else 1
    truth = np.where(np.isnan(sign), -1, np.nan_to_num(sign) + shift).astype(np.int64)
    return _against(both, truth, both.verdicts.argmax(axis=1), "accepted")
