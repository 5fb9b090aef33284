"""Frozen dataclasses whose fields carry help and bounds, and the one parser for them."""

import difflib
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, cast


class OptionError(ValueError):
    """A named option is unknown, missing, badly typed or out of range."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


@dataclass(frozen=True)
class Option:
    """What a form, a command line or a reference page needs to know of one field."""

    name: str
    type: type
    required: bool
    nullable: bool
    default: Any
    help: str
    min: float | None
    max: float | None
    choices: tuple[str, ...] | None
    used_when: Callable[[Any], bool]


class Options:
    """Base of frozen dataclasses of options: however one is built, its fields are checked.

    A whole number given for a float becomes one. Raises OptionError naming the first field that is
    badly typed or out of range. A class that checks more begins with this `__post_init__`.
    """

    def __post_init__(self) -> None:
        for one in describe_options(type(self)):
            value = _checked(one, getattr(self, one.name))
            object.__setattr__(self, one.name, value)  # the dataclass is frozen


T = TypeVar("T", bound=Options)


def option(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002  # the words of argparse and of HTML forms
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    choices: tuple[str, ...] | None = None,
    used_when: Callable[[Any], bool] = lambda options: True,
) -> Any:
    """A dataclass field with a help line, optional inclusive bounds and optional choices.

    `used_when` tells of the whole dataclass whether it looks at this field as the others are set.
    """
    metadata = {"help": help, "min": min, "max": max, "choices": choices, "used_when": used_when}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def describe_options(cls: type) -> list[Option]:
    """The fields of an options dataclass in order, ready to be drawn."""
    hints = typing.get_type_hints(cls)
    return [_describe(item, hints[item.name]) for item in fields(cls)]


def unused_options(values: Any) -> set[str]:
    """Names of the fields of an options dataclass that were changed and are not looked at."""
    return {
        one.name
        for one in describe_options(type(values))
        if getattr(values, one.name) != one.default and not one.used_when(values)
    }


def parse_options(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build `cls` from a plain mapping.

    Raises OptionError naming a key that is unknown, missing, badly typed or out of range.
    """
    known = {item.name: item for item in describe_options(cls)}
    for name in values:
        if name not in known:
            raise OptionError(str(name), f"unknown option; {_meant(str(name), known)}")
    missing = [item.name for item in known.values() if item.required and item.name not in values]
    if missing:
        raise OptionError(missing[0], "is required")
    return cls(**values)


def json_object(text: str) -> dict[str, Any]:
    """A configuration's plain values; raises OptionError where the text is no JSON object."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError("config", f"is not valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise OptionError("config", "must be a JSON object")
    return values


def _meant(name: str, known: Mapping[str, Option]) -> str:
    for close in difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close}?"
    return f"the known ones are {', '.join(known)}"


def _describe(item: Field[Any], hint: Any) -> Option:
    default = item.default_factory() if item.default_factory is not MISSING else item.default
    members = [member for member in typing.get_args(hint) if member is not types.NoneType]
    is_union = isinstance(hint, types.UnionType)
    plain = members[0] if is_union else typing.get_origin(hint) or hint
    return Option(
        name=item.name,
        type=cast("type", plain),
        required=default is MISSING,
        nullable=is_union,
        default=None if default is MISSING else default,
        help=item.metadata["help"],
        min=item.metadata["min"],
        max=item.metadata["max"],
        choices=item.metadata["choices"],
        used_when=item.metadata["used_when"],
    )


def _checked(item: Option, value: Any) -> Any:
    if value is None and item.nullable:
        return None
    value = _typed(item, value)
    if item.choices is not None and value not in item.choices:
        raise OptionError(item.name, f"{value!r} is not one of {', '.join(item.choices)}")
    if item.min is not None and value < item.min:
        raise OptionError(item.name, f"{value} is below the smallest allowed value {item.min}")
    if item.max is not None and value > item.max:
        raise OptionError(item.name, f"{value} is above the largest allowed value {item.max}")
    return value


def _typed(item: Option, value: Any) -> Any:
    if item.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(item, value)
    # bool is a subclass of int, and True is no batch size.
    is_stray_bool = isinstance(value, bool) and item.type is not bool
    if is_stray_bool or not isinstance(value, item.type):
        raise OptionError(item.name, f"{value!r} is not {_ARTICLES.get(item.type, 'valid')}")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(item.name, f"{value} is not a finite number")
    return value


def _as_float(item: Option, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise OptionError(item.name, "is too large for a number") from error


_ARTICLES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Mapping: "an object of named values",
}
