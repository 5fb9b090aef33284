"""The fields of one row, each read with a message that names it."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from training.alignment.data.rows import DataError, Text


def text(values: Mapping[str, Any], field: str, *, completion: bool) -> Text:
    """A text or a list of messages; a completion is not empty and ends with the assistant."""
    value = values.get(field)
    if isinstance(value, str) and (value or not completion):
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        if completion and value[-1]["role"] != "assistant":
            raise DataError(f"field '{field}' must end with a message of the assistant")
        return [_message(item) for item in value]
    raise DataError(f"field '{field}' must be a text or a list of role and content messages")


def texts(values: Mapping[str, Any], field: str) -> list[Text]:
    """A list's completions, two or more."""
    items = values.get(field)
    if not isinstance(items, Sequence) or isinstance(items, str) or len(items) < 2:
        raise DataError(f"field '{field}' must be a list of two or more")
    return [text({field: item}, field, completion=True) for item in items]


def number(
    values: Mapping[str, Any], field: str, low: float, high: float, *, default: float
) -> float:
    """A number within inclusive bounds; `default` where the field is missing or null."""
    value = values.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"field '{field}' must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def ranks(values: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """Whole numbers from 1, one for each completion; 1 is best and equal ranks tie."""
    found = values.get("ranks")
    whole = isinstance(found, Sequence) and all(type(rank) is int and rank > 0 for rank in found)
    if not isinstance(found, Sequence) or not whole or len(found) != count:
        raise DataError(f"field 'ranks' must hold {count} whole numbers from 1 for the best")
    return tuple(found)


def scores(values: Mapping[str, Any], count: int) -> tuple[float, ...]:
    """Finite numbers, one for each completion; more is better."""
    found = values.get("scores")
    known = isinstance(found, Sequence) and all(_is_finite(score) for score in found)
    if not isinstance(found, Sequence) or not known or len(found) != count:
        raise DataError(f"field 'scores' must hold {count} numbers, more for a better answer")
    return tuple(float(score) for score in found)


def ranks_of(found: Sequence[float]) -> tuple[int, ...]:
    """Ranks by score: 1 is best, equal scores tie, and no rank is left out."""
    order = {score: place for place, score in enumerate(sorted(set(found), reverse=True), start=1)}
    return tuple(order[score] for score in found)


def label(values: Mapping[str, Any]) -> float:
    """1 for a good answer, 0 for a bad one."""
    value = values.get("label")
    if not isinstance(value, bool) and value not in (0, 1):
        raise DataError(f"field 'label' must be true or false, not {value!r}")
    return float(value)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    """What chat templates read. The arguments of tool calls are objects there, texts on file."""
    message = {"role": item["role"], "content": item["content"]}
    message.update({name: item[name] for name in ("name", "tool_call_id") if item.get(name)})
    if item.get("tool_calls"):
        message["tool_calls"] = [
            {**call, "function": _function(call["function"])} for call in item["tool_calls"]
        ]
    return message


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function["arguments"]
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = json.loads(arguments)
    return {"name": function["name"], "arguments": arguments}


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
    )
