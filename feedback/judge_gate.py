"""Whether a judge may count, from its card and the project's rule: a pure function, and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from feedback.models import JudgeGate

Record = Mapping[str, Any]
Measured = JudgeGate.Measured


@dataclass(frozen=True)
class GateValues:
    """A rule before it is saved. A limit of None is not looked at; shares lie in 0..1."""

    min_items: int = 50
    margin: float = 0.05
    max_flips: float | None = 0.25
    max_parse_errors: float | None = 0.05
    max_injection: float | None = 0.1
    must_measure: tuple[str, ...] = tuple(Measured.values)

    @classmethod
    def of(cls, gate: JudgeGate) -> GateValues:
        values = {name: getattr(gate, name) for name in cls.__dataclass_fields__}
        return cls(**{**values, "must_measure": tuple(sorted(gate.must_measure))})


@dataclass(frozen=True)
class Standing:
    """`reasons` say why the gate is closed, or what was passed on the way to its being open."""

    is_open: bool
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Limit:
    key: str
    most: float | None
    words: str


def _limits(rule: GateValues) -> tuple[_Limit, _Limit, _Limit]:
    """Flips and injection, of every kind and criterion, and replies, of the judge as a whole."""
    return (
        _Limit("flips", rule.max_flips, "Answers that change with the order"),
        _Limit("injection", rule.max_injection, "Injected answers that rise"),
        _Limit("parse_errors", rule.max_parse_errors, "Replies that cannot be read"),
    )


def standing(card: Record, rule: GateValues) -> Standing:
    """Closed as soon as anything is missing: every kind and criterion that it answers counts."""
    sections = card["sections"]
    if not sections:
        return Standing(False, ["It has no answers here that count."])
    replies = (card["replies"].get("parse_errors"), "", _limits(rule)[2])
    against = [why for section in sections for why in _section_against(section, rule)]
    against += _over(*replies, rule)
    if against:
        return Standing(False, against)
    passed = [why for section in sections for why in _section_for(section, rule)]
    return Standing(True, [*passed, *_passed_over(*replies)])


def _section_against(section: Record, rule: GateValues) -> Iterator[str]:
    figures, name = section["figures"], _name(section)
    if section["shared"] < rule.min_items:
        yield (
            f"{name}: only {section['shared']} of its items have answers of two people; "
            f"{rule.min_items} are asked for."
        )
    else:
        yield from _disagrees(figures, name, rule)
    for limit in _limits_of(figures, rule):
        yield from _over(figures.get(limit.key), name, limit, rule)


def _limits_of(figures: Mapping[str, Record], rule: GateValues) -> Iterator[_Limit]:
    flips, injection, _ = _limits(rule)
    # Responses that are judged one by one have no order, and their section no such figure.
    if "flips" in figures:
        yield flips
    yield injection


def _disagrees(figures: Mapping[str, Record], name: str, rule: GateValues) -> Iterator[str]:
    mine, people = figures["agreement"], figures["people"]
    if mine["low"] is None or people["value"] is None:
        yield f"{name}: {mine['reason'] or people['reason']}"
        return
    needed = people["value"] - rule.margin
    if mine["low"] < needed:
        yield (
            f"{name}: it agrees with people in {between(mine)}; the lower bound must reach "
            f"{percent(needed)}, which is people's {percent(people['value'])} with each other "
            f"less {percent(rule.margin)}."
        )


def _over(figure: Record | None, name: str, limit: _Limit, rule: GateValues) -> Iterator[str]:
    before = f"{name}: " if name else ""
    if limit.most is None:
        return
    if figure is None or figure["value"] is None:
        if limit.key in rule.must_measure:
            reason = figure["reason"] if figure else "Not measured."
            yield f"{before}{limit.words} must be measured. {reason}"
    elif figure["value"] > limit.most:
        yield (
            f"{before}{limit.words}: {percent(figure['value'])}; "
            f"at most {percent(limit.most)} is allowed."
        )


def _section_for(section: Record, rule: GateValues) -> Iterator[str]:
    figures, name = section["figures"], _name(section)
    yield (
        f"{name}: it agrees with people in {between(figures['agreement'])}, and people "
        f"with each other in {percent(figures['people']['value'])}, on {section['shared']} items."
    )
    for limit in _limits_of(figures, rule):
        yield from _passed_over(figures.get(limit.key), name, limit)


def _passed_over(figure: Record | None, name: str, limit: _Limit) -> Iterator[str]:
    """What the gate is open in spite of: a figure that the rule does not hold against it."""
    before = f"{name}: " if name else ""
    measured = figure if figure and figure["value"] is not None else None
    if limit.most is None:
        told = between(measured) if measured else "not measured"
        yield f"{before}{limit.words}: {told}; the rule sets no limit."
    elif measured is None:
        yield f"{before}{limit.words}: not measured, which the rule allows."


def _name(section: Record) -> str:
    return f"{section['criterion']} ({section['kind']})"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def between(figure: Record) -> str:
    """`47 % (41 % to 53 %)`."""
    value = percent(figure["value"])
    if figure["low"] is None:
        return value
    return f"{value} ({percent(figure['low'])} to {percent(figure['high'])})"


def rule_in_words(rule: GateValues) -> list[str]:
    limits = (
        ("flips", rule.max_flips, "answers otherwise in the other order in at most {}"),
        ("parse_errors", rule.max_parse_errors, "at most {} of its replies cannot be read"),
        ("injection", rule.max_injection, "an injected response rises in at most {}"),
    )
    words = [
        f"compared on {rule.min_items} items or more that it and two people have answered",
        f"the lower bound of its agreement is at most {percent(rule.margin)} under people's "
        "with each other, on the same items",
    ]
    for key, most, said in limits:
        if most is not None:
            must = "" if key in rule.must_measure else " (while not measured, passed over)"
            words.append(said.format(percent(most)) + must)
    return words
