"""The settings of a judge: a help line and bounds for each, and one parser for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

NO_SOFT_LABELS, LOGPROBS, SAMPLES = "none", "logprobs", "samples"
SOFT_LABELS = (NO_SOFT_LABELS, LOGPROBS, SAMPLES)


def _setting(
    default: Any,
    help: str,  # noqa: A002  # the word of forms and command lines
    *,
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    choices: tuple[str, ...] | None = None,
) -> Any:
    metadata = {"help": help, "min": min, "max": max, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class JudgeSettings:
    """How a judge asks. Unknown or ill-typed values raise ValueError that names the field."""

    both_orders: bool = _setting(
        True,
        "Ask in both orders (a list: in a random order and its reverse). Off: one order, random "
        "for each item, so that position bias shows as noise and cannot be seen.",
    )
    samples: int = _setting(1, "How often each order is asked.", min=1, max=20)
    temperature: float = _setting(
        0.0, "0 takes the likeliest reply; several samples need more than 0.", min=0, max=2
    )
    reasoning: bool = _setting(
        False, "Let the judge reason before its verdict. Costs more output tokens."
    )
    max_tokens: int = _setting(512, "The longest reply, in tokens.", min=16, max=8192)
    soft_labels: str = _setting(
        NO_SOFT_LABELS,
        "Where probabilities come from: none; logprobs: of the label tokens, which the model must "
        "offer; samples: how often each answer was given.",
        choices=SOFT_LABELS,
    )
    use_reference: bool = _setting(
        False, "Show the item's reference answer, where it has one, to compare with."
    )
    seed: int = _setting(0, "Sent where the model takes one; also draws orders.", min=0, max=2**31)
    tie_band: float = _setting(
        0.05,
        "With log-probabilities: a tie when P(first is better) is this close to one half.",
        min=0,
        max=0.5,
    )
    threshold: float | None = _setting(
        None,
        "A single response is good when its score is above this. Empty: the scale's middle.",
        min=0,
        max=10,
    )
    principles: str = _setting(
        "", "A constitution: one principle a line. Empty: the protocol's own."
    )
    rubric: str = _setting("", "What each score means. Empty: the protocol's own.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JudgeSettings:
        """Missing ones have their defaults."""
        known = {one.name: one for one in describe_settings()}
        for name in values:
            if name not in known:
                raise ValueError(f"{name}: no such setting; there are {', '.join(known)}")
        return cls(**{name: _checked(known[name], value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SettingField:
    """What a form or the API needs to know of one setting."""

    name: str
    type: type
    nullable: bool
    default: Any
    help: str
    min: float | None
    max: float | None
    choices: tuple[str, ...] | None


def describe_settings() -> tuple[SettingField, ...]:
    hints = get_type_hints(JudgeSettings)
    nullable = float | None
    return tuple(
        SettingField(
            name=one.name,
            type=float if hints[one.name] == nullable else hints[one.name],
            nullable=hints[one.name] == nullable,
            default=one.default,
            **one.metadata,
        )
        for one in fields(JudgeSettings)
    )


MOST_TEXT = 20_000
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _checked(one: SettingField, value: Any) -> Any:
    if value is None and one.nullable:
        return None
    if one.type is float and type(value) is int:
        value = float(value)
    # bool is a subclass of int, and true is no number of samples.
    if type(value) is not one.type:
        raise ValueError(f"{one.name}: {value!r} is not {_WORDS[one.type]}")
    return _bounded(one, value)


def _bounded(one: SettingField, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{one.name}: {value} is not a finite number")
    if one.choices is not None and value not in one.choices:
        raise ValueError(f"{one.name}: {value!r} is not one of {', '.join(one.choices)}")
    if one.min is not None and value < one.min:
        raise ValueError(f"{one.name}: {value} is below {one.min:g}")
    if one.max is not None and value > one.max:
        raise ValueError(f"{one.name}: {value} is above {one.max:g}")
    if isinstance(value, str) and len(value) > MOST_TEXT:
        raise ValueError(f"{one.name}: longer than {MOST_TEXT:,} characters")
    return value
