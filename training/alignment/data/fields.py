"""The fields of one row, each read with a message that names it."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from training.alignment.data.messages import checked, messages
from training.alignment.data.rows import FieldError, Text


def text(values: Mapping[str, Any], field: str, *, completion: bool) -> Text:
    """A text or a list of messages; a completion is not empty and ends with the assistant."""
    value = values.get(field)
    if value == "" and completion:
        raise FieldError(field, "is empty")
    if isinstance(value, str):
        return checked(value, field)
    found = messages(value, field)
    if completion and found[-1]["role"] != "assistant":
        raise FieldError(field, "must end with a message of the assistant")
    return found


def texts(values: Mapping[str, Any], field: str) -> list[Text]:
    """A list's completions, two or more."""
    items = values.get(field)
    if not isinstance(items, Sequence) or isinstance(items, str) or len(items) < 2:
        raise FieldError(field, "must be a list of two or more")
    names = [f"{field}[{place}]" for place in range(len(items))]
    return [
        text({name: item}, name, completion=True) for name, item in zip(names, items, strict=True)
    ]


def number(
    values: Mapping[str, Any], field: str, low: float, high: float, *, default: float
) -> float:
    """A number within inclusive bounds; `default` where the field is missing or null."""
    value = values.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FieldError(field, f"must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def ranks(values: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """Whole numbers from 1, one for each completion; 1 is best and equal ranks tie."""
    found = values.get("ranks")
    whole = isinstance(found, Sequence) and all(type(rank) is int and rank > 0 for rank in found)
    if not isinstance(found, Sequence) or not whole or len(found) != count:
        raise FieldError("ranks", f"must hold {count} whole numbers from 1 for the best")
    return tuple(found)


def scores(values: Mapping[str, Any], count: int) -> tuple[float, ...]:
    """Finite numbers, one for each completion; more is better."""
    found = values.get("scores")
    known = isinstance(found, Sequence) and all(_is_finite(score) for score in found)
    if not isinstance(found, Sequence) or not known or len(found) != count:
        raise FieldError("scores", f"must hold {count} numbers, more for a better answer")
    return tuple(float(score) for score in found)


def ranks_of(found: Sequence[float]) -> tuple[int, ...]:
    """Ranks by score: 1 is best, equal scores tie, and no rank is left out."""
    order = {score: place for place, score in enumerate(sorted(set(found), reverse=True), start=1)}
    return tuple(order[score] for score in found)


def label(values: Mapping[str, Any]) -> float:
    """1 for a good answer, 0 for a bad one."""
    value = values.get("label")
    if not isinstance(value, bool) and value not in (0, 1):
        raise FieldError("label", f"must be true or false, not {value!r}")
    return float(value)


def name(values: Mapping[str, Any], field: str) -> str:
    """A name in whatever type it is written; empty where the field is missing or null."""
    value = values.get(field)
    return "" if value is None else checked(str(value), field)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number may be too large for a float.
    return is_number and abs(value) <= sys.float_info.max
