"""An option in words: for command lines, reference pages and forms. Imports without torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from training.alignment.options import Option

TYPES: Mapping[type, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    Mapping: "object",
}
NAME, WIDTH = 26, 100


def bounds(option: Option) -> str:
    """What values an option takes."""
    if option.choices:
        return ", ".join(option.choices)
    if option.type is bool:
        return "true, false"
    form = ",.0f" if option.type is int else "g"
    low, high = (None if edge is None else f"{edge:{form}}" for edge in (option.min, option.max))
    if low is None or high is None:
        return f"from {low}" if low is not None else f"up to {high}" if high is not None else ""
    return f"{low} to {high}"


def plain(value: object) -> str:
    """A setting's value as one would write it in a configuration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def summary(option: Option) -> str:
    """The help line with the values that the option takes, and its default."""
    kind = TYPES.get(option.type) if option.choices is None else None
    values = " ".join(words for words in (kind, bounds(option)) if words)
    return f"{option.help} ({values}; {_default(option)})"


def _default(option: Option) -> str:
    if option.required:
        return "required"
    if option.default in (None, "", {}):
        return "none by default"
    return f"default {plain(option.default)}"


def entry(name: str, words: str, *, indent: int = 2) -> str:
    """A name and what it is, wrapped beside it."""
    start = f"{' ' * indent}{name:{NAME}}"
    return textwrap.fill(
        words,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    )


def entries(options: Iterable[Option], *, indent: int = 2) -> list[str]:
    """A line or more for each option."""
    return [entry(option.name, summary(option), indent=indent) for option in options]
