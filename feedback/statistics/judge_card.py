"""A judge's card for one kind and criterion: how well it agrees, and what else moves it.

Sources: agreement beside people's own and ties kept and dropped, Zheng et al. 2023 (MT-Bench,
arXiv 2306.05685, table 5); flip and first-position rates, section 3.3 there; P(longer), Dubois et
al. 2024 (arXiv 2404.04475); self-preference beside people's on the same pairs, Panickssery et al.
2024; expected calibration error, Guo et al. 2017, equation 3. Every interval is of a bootstrap of
prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
from feedback.statistics.ballots import SIGN_TIE, Kind
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.judge_agreement import (
    Both,
    agreement_beside_people,
    beside_accepted,
    beside_majority,
)
from feedback.statistics.judge_evidence import Attacks, Evidence
from feedback.statistics.rates import rate

BINS = 10
# A slice is compared by these only; a card has many of them.
OF_SLICES = ("agreement", "agreement_no_ties", "people", "people_no_ties")


@dataclass(frozen=True)
class Slice:
    name: str
    items: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class CalibrationBin:
    """Where the judge's probability lies in low..high: its mean, and people's share of votes."""

    low: float
    high: float
    units: int
    predicted: float
    observed: float
    observed_low: float | None
    observed_high: float | None


@dataclass(frozen=True)
class AttackCount:
    """How often one attack was tried on a response that could rise, and how often it rose."""

    name: str
    tried: int
    rose: int


@dataclass(frozen=True)
class Card:
    """`items` have answers of the judge, `compared` of people too, `shared` of two people."""

    kind: Kind
    items: int
    compared: int
    shared: int
    people: int
    figures: dict[str, Estimate]
    slices: tuple[Slice, ...]
    calibration: tuple[CalibrationBin, ...]
    attacks: tuple[AttackCount, ...]


def judge_card(evidence: Evidence, *, resamples: int = 1_000, seed: int = 0) -> Card:
    """Compute every figure that the evidence allows; one without evidence has no value.

    `agreement`, `agreement_no_ties`, `alpha_ordinal`, `alpha_nominal` are of the judge and a
    random person, `people…` of two people on the same items, `difference` of the former and the
    latter's percent; `majority`, `majority_decisive`, `kappa`, `kappa_decisive` of the judge and
    the people's majority, `others_majority…` of the judge and the majority of people but one,
    `person_majority…` of that one and the same majority;
    `accepted…` of the judge and accepted preferences. `flips` and `first` (of a judge that sees
    responses beside each other), `longer`, `ties`, `own` are habits (`people_…` on the same
    items), `same_again` stability, `injection` the rate at which an injected response rose, `ece`
    the calibration error of soft labels.
    """
    people = evidence.votes.only(~evidence.votes.is_judge)
    judge = evidence.votes.only(evidence.votes.is_judge)
    both = Both.of(people, judge, evidence.kind, resamples, seed)
    figures = (
        agreement_beside_people(both) | beside_majority(both) | beside_accepted(both, evidence)
    )
    figures |= _habits(both, evidence) | _behaviour(evidence, both)
    return Card(
        kind=evidence.kind,
        items=distinct(judge.unit),
        compared=len(np.intersect1d(judge.unit, people.unit)),
        shared=_items(both, both.counts.sum(axis=1) >= 2),
        people=distinct(people.rater),
        figures=figures,
        slices=tuple(_slices(both, evidence)),
        calibration=tuple(_bins(both, evidence)),
        attacks=tuple(_by_attack(evidence)),
    )


def _items(both: Both, rows: Booleans) -> int:
    return len(np.unique(both.item[rows]))


def _habits(both: Both, evidence: Evidence) -> dict[str, Estimate]:
    """What the judge and people do on the same items."""
    if both.kind == "thumbs":
        up = (both.verdicts[:, 1], both.counts[:, 1])
        return _paired(both, "ups", up, (both.verdicts.sum(axis=1), both.counts.sum(axis=1)))
    tie = (both.verdicts[:, SIGN_TIE], both.counts[:, SIGN_TIE])
    every = (both.verdicts.sum(axis=1), both.counts.sum(axis=1))
    longer = evidence.longer.at(both.key)
    known = (np.nan_to_num(longer) != 0).astype(np.float64)
    hits = [known * _towards(votes, longer) for votes in (both.verdicts, both.counts)]
    decided = [known * (votes[:, 0] + votes[:, 2]) for votes in (both.verdicts, both.counts)]
    return (
        _paired(both, "ties", tie, every)
        | _paired(both, "longer", (hits[0], hits[1]), (decided[0], decided[1]))
        | _own_family(both, evidence.own.at(both.key))
    )


def _towards(votes: Floats, side: Floats) -> Floats:
    """How many votes [units] prefer the side of this sign."""
    result: Floats = np.where(side > 0, votes[:, 2], votes[:, 0])
    return result


def _paired(
    both: Both, name: str, hit: tuple[Floats, Floats], weight: tuple[Floats, Floats]
) -> dict[str, Estimate]:
    return {
        name: both.rate(hit[0], weight[0], name),
        f"people_{name}": both.rate(hit[1], weight[1], name),
    }


def _own_family(both: Both, own: Floats) -> dict[str, Estimate]:
    """How much more often than people the judge prefers its own family's response.

    A tie is half a preference; the difference is taken unit by unit.
    """
    known = (np.nan_to_num(own) != 0).astype(np.float64)
    judge, people = (
        known * (_towards(part, own) + part[:, SIGN_TIE] / 2)
        for part in (shares(both.verdicts), shares(both.counts))
    )
    method = "self_preference"
    return {
        "own": both.rate(judge - people, known, method, is_share=False),
        "own_rate": both.rate(judge, known, method),
        "people_own_rate": both.rate(people, known, method),
    }


def _behaviour(evidence: Evidence, both: Both) -> dict[str, Estimate]:
    """What needs no people to be seen; calibration stands here too."""

    def over(cluster: Integers) -> ClusterBootstrap:
        return ClusterBootstrap(cluster, both.resamples, both.seed)

    repeats, attacks, chains = evidence.repeats, evidence.attacks, evidence.chains
    same = (repeats.first == repeats.again).astype(np.float64)
    could, rose = _risen(attacks)
    found = {
        "same_again": rate(same, np.ones(len(same)), over(repeats.cluster), method="same_answer"),
        "injection": rate(rose, could, over(attacks.cluster), method="standing_rose"),
        "ece": _calibration_error(both, evidence),
    }
    if evidence.kind == "thumbs" or not evidence.has_orders:
        return found
    decided = (chains.sign != 0).astype(np.float64)
    first = decided * (chains.sign == chains.side)
    differs, asked, cluster = _flipped(evidence)
    return found | {
        "flips": rate(differs, asked, over(cluster), method="orders_disagree"),
        "first": rate(first, decided, over(chains.cluster), method="first_shown"),
    }


def _flipped(evidence: Evidence) -> tuple[Floats, Floats, Integers]:
    """P(a verdict in one order and one in the other differ) of each unit [units]; a tie differs
    from a preference. With it whether both orders were asked, and the unit's cluster."""
    chains = evidence.chains
    key, first, place = np.unique(chains.key, return_index=True, return_inverse=True)
    answer = (chains.sign + 1).astype(np.int64)
    there, back = (
        count_votes(place[rows], answer[rows], units=len(key), categories=3)
        for rows in (chains.side > 0, chains.side < 0)
    )
    used = ((there.sum(axis=1) > 0) & (back.sum(axis=1) > 0)).astype(np.float64)
    differs = used * (1 - (shares(there) * shares(back)).sum(axis=1))
    return differs, used, chains.cluster[first]


def _risen(attacks: Attacks) -> tuple[Floats, Floats]:
    """Whether each response could rise, and whether it rose [rows]."""
    could = attacks.clean < attacks.best
    rose = could & (attacks.injected > attacks.clean)
    return could.astype(np.float64), rose.astype(np.float64)


def _by_attack(evidence: Evidence) -> Iterator[AttackCount]:
    could, rose = _risen(evidence.attacks)
    for number, name in enumerate(evidence.attack_names):
        mine = evidence.attacks.attack == number
        yield AttackCount(name, int(could[mine].sum()), int(rose[mine].sum()))


def _soft(both: Both, evidence: Evidence) -> tuple[Floats, Floats, Integers]:
    """The judge's probability and the people's share [units], and the bin (-1: no soft label)."""
    soft = evidence.soft.at(both.key)
    share = shares(both.counts)
    people = share[:, 1] if both.kind == "thumbs" else share[:, 2] + share[:, SIGN_TIE] / 2
    place = np.floor(np.nan_to_num(soft) * BINS + 1e-9).clip(0, BINS - 1).astype(np.int64)
    return np.nan_to_num(soft), people, np.where(np.isnan(soft), -1, place).astype(np.int64)


def _calibration_error(both: Both, evidence: Evidence) -> Estimate:
    """ECE = sum over bins of |sum of probabilities - sum of people's shares| / units."""
    soft, people, place = _soft(both, evidence)

    def terms() -> Iterator[Floats]:
        for number in range(BINS):
            inside = (place == number).astype(np.float64)
            yield inside * (soft - people)
            yield inside

    def formula(sums: Floats) -> Floats:
        gaps, units = sums[..., 0::2], sums[..., 1::2]
        return divide(np.abs(gaps).sum(axis=-1), units.sum(axis=-1))

    return both.bootstrap.estimate(
        terms(), formula, used=place >= 0, method="expected_calibration_error",
        parameters={"bins": str(BINS)},
    )  # fmt: skip


def _bins(both: Both, evidence: Evidence) -> Iterator[CalibrationBin]:
    soft, people, place = _soft(both, evidence)
    for number in range(BINS):
        inside = place == number
        if not inside.any():
            continue
        seen = both.only(inside)
        observed = seen.rate(people[inside], np.ones(len(seen.key)), "share_of_people")
        yield CalibrationBin(
            number / BINS, (number + 1) / BINS, int(inside.sum()), float(soft[inside].mean()),
            float(people[inside].mean()), observed.low, observed.high,
        )  # fmt: skip


def _slices(both: Both, evidence: Evidence) -> Iterator[Slice]:
    for name, items in evidence.slices.items():
        part = both.only(np.isin(both.item, items))
        figures = agreement_beside_people(part)
        kept = {key: figures[key] for key in OF_SLICES if key in figures}
        yield Slice(name, len(np.unique(part.item)), kept)
