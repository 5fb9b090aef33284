"""A judge's card as plain values, for keeping, pages and files; what is missing says why and how
to get it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from feedback.selectors.judge_rows import Costs
from feedback.statistics.bootstrap import Estimate
from feedback.statistics.judge_card import Card

# In the order of tables and files. Shares, but for COEFFICIENTS.
NAMES = {
    "agreement": "Agrees with a person",
    "people": "Two people agree",
    "difference": "Judge less people",
    "agreement_no_ties": "Agrees with a person, without ties",
    "people_no_ties": "Two people agree, without ties",
    "alpha_ordinal": "Alpha with people, ordinal",
    "people_alpha_ordinal": "Alpha of people, ordinal",
    "alpha_nominal": "Alpha with people, nominal",
    "people_alpha_nominal": "Alpha of people, nominal",
    "majority": "Agrees with the people's majority",
    "majority_decisive": "Agrees with the majority, both decided",
    "others_majority": "Agrees with the majority of people but one",
    "person_majority": "That one agrees with it",
    "others_majority_decisive": "Agrees with the majority but one, all decided",
    "person_majority_decisive": "That one agrees with it, all decided",
    "kappa": "Kappa with the majority",
    "kappa_decisive": "Kappa with the majority, both decided",
    "accepted": "Agrees with what was accepted",
    "accepted_decisive": "Agrees with what was accepted, both decided",
    "flips": "Answers otherwise in the other order",
    "first": "Prefers what is shown first",
    "longer": "Prefers the longer",
    "people_longer": "People prefer the longer",
    "ties": "Ties",
    "people_ties": "Ties of people",
    "ups": "Thumbs up",
    "people_ups": "Thumbs up of people",
    "own": "Prefers its own family more than people do",
    "own_rate": "Prefers its own family",
    "people_own_rate": "People prefer its family",
    "same_again": "Same answer when asked again",
    "injection": "An injected response rises",
    "ece": "Calibration error of soft labels",
    "parse_errors": "Replies that cannot be read",
    "failures": "Items whose calls fail",
}
COEFFICIENTS = frozenset(
    ("alpha_ordinal", "people_alpha_ordinal", "alpha_nominal", "people_alpha_nominal", "kappa",
     "kappa_decisive")
)  # fmt: skip
# In points of a percentage.
DIFFERENCES = frozenset(("difference", "own"))
OF_A_FILE = "Not measured: its verdicts came from a file."
HOW = {
    "flips": "Not measured: it was asked in one order only. Make a version that asks in both.",
    "first": "Not measured: no answer of it prefers a response that stood beside another.",
    "own": "Not measured: no pair has a response of the judge's own family beside another's. "
    "Name the families of judge and generators.",
    "same_again": "Not measured: it was asked once. Start a run that asks again.",
    "injection": "Not measured: start a run with injected answers.",
    "ece": "Not measured: its protocol gives no probabilities. Choose soft labels, from "
    "log-probabilities or from samples.",
    "parse_errors": "Not measured: it was not asked here yet. Start a run.",
    "failures": "Not measured: it was not asked here yet. Start a run.",
    "price": "No price is known for its model. An admin enters it under Providers.",
    "seconds": "Not measured: it was not asked here yet. Start a run.",
    "accepted": "Not measured: nothing that it judged is decided by people yet.",
    "others_majority": "Not measured: no item has answers of two people to compare.",
    "longer": "Not measured: no two responses of different length stood beside each other.",
}
# Of a card without these figures.
NO_ORDER = "Responses that are judged one by one have no order."
ASKED_HERE = frozenset(("flips", "same_again", "injection", "parse_errors", "failures", "price",
                        "seconds", "ece"))  # fmt: skip
SAME_REASON = {
    "own_rate": "own",
    "people_own_rate": "own",
    "accepted_decisive": "accepted",
    "people_longer": "longer",
    "person_majority": "others_majority",
    "others_majority_decisive": "others_majority",
    "person_majority_decisive": "others_majority",
}


def section_of(card: Card, *, criterion: str, is_imported: bool) -> dict[str, Any]:
    """`shared` items have answers of the judge and of two people."""
    return {
        "kind": card.kind,
        "criterion": criterion,
        "items": card.items,
        "compared": card.compared,
        "shared": card.shared,
        "people": card.people,
        "figures": {
            key: record(key, one, is_imported=is_imported) for key, one in card.figures.items()
        },
        "slices": [
            {
                "name": one.name,
                "items": one.items,
                "figures": {key: asdict(figure) for key, figure in one.figures.items()},
            }
            for one in card.slices
        ],
        "calibration": [asdict(one) for one in card.calibration],
        "attacks": [asdict(one) for one in card.attacks],
    }


def record(key: str, one: Estimate, *, is_imported: bool) -> dict[str, Any]:
    """A figure that rests on nothing says how to measure it."""
    found = asdict(one)
    if one.value is None and one.units == 0:
        found["reason"] = why_not(key, is_imported=is_imported) or one.reason
    return found


def why_not(key: str, *, is_imported: bool) -> str:
    key = SAME_REASON.get(key, key)
    how = HOW.get(key, "")
    if is_imported and key in ASKED_HERE:
        return f"{OF_A_FILE} Ask the same model here, as a judge of this project."
    return how


def cost_of(costs: Costs, *, is_imported: bool) -> dict[str, Any]:
    """Dollars and seconds a judgment; null with a reason where they are not known.

    `seconds`: its calls one after the other, each with its wait at the endpoint behind others.
    `clock`: by the clock, while any call of the judge was out.
    """
    is_known = costs.calls > 0 and not costs.unpriced
    price = costs.dollars / costs.judged if costs.judged and is_known else None
    seconds = costs.seconds / costs.judged if costs.judged and costs.calls else None
    return {
        "calls": costs.calls,
        "failed_calls": costs.failed,
        "judged": costs.judged,
        "dollars": costs.dollars if is_known else None,
        "price": price,
        "price_reason": "" if price is not None else _unpriced(costs, is_imported),
        "seconds": seconds,
        "clock": costs.clock / costs.judged if costs.judged and costs.clock else None,
        "seconds_reason": ""
        if seconds is not None
        else why_not("seconds", is_imported=is_imported),
    }


def _unpriced(costs: Costs, is_imported: bool) -> str:
    if costs.has_price and costs.unpriced:
        return (
            f"{costs.unpriced} of its {costs.calls} calls were made while no price was known, so "
            "what they cost is not known. A new version of the judge begins anew."
        )
    return why_not("seconds" if costs.has_price else "price", is_imported=is_imported)
