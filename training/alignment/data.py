"""Rows of training data: what a JSONL line may be, and what it becomes.

A line has one of three shapes; texts are strings or lists of {"role", "content"} messages:

    pairs   {"prompt", "chosen", "rejected", "probability"?, "weight"?, "group"?, "id"?}
    binary  {"prompt", "completion", "label", "weight"?, "id"?}
    lists   {"prompt", "completions": [...], "ranks": [1, 2, ...], "weight"?, "id"?}

Rank 1 is best and equal ranks tie. A list of n becomes its n(n-1)/2 pairs, which share its
weight and carry its `group`; the share of a tie goes with it, for such a list says less. Pairs that
name a group but no weight share a weight of one in the same way.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

Text = str | list[dict[str, Any]]


class DataError(ValueError):
    """A data file cannot be used; the message names the file, the row and the field."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pair or one labelled completion, still as text.

    `completions` holds one text by role: chosen and rejected, or completion. `target` is the
    probability that chosen is better, or the label.
    """

    id: str
    group: str
    prompt: Text
    completions: Mapping[str, Text]
    target: float
    weight: float

    @property
    def prompt_key(self) -> str:
        """Equal for equal prompts: the unit by which evaluation resamples."""
        canonical = json.dumps(self.prompt, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def read_rows(path: Path, data: str) -> list[Row]:
    """Read a JSONL file for a method that needs `data` (pairs or binary); lists become pairs."""
    rows: list[Row] = []
    for number, line in _lines(path):
        try:
            rows.extend(_parse(line, data, f"{path.stem}-{number}"))
        except DataError as error:
            raise DataError(f"{path.name}, row {number}: {error}") from error
    if not rows:
        raise DataError(f"{path.name}: holds no usable {data} row")
    return _share_group_weight(rows) if data == "pairs" else [_weighted(row, 1.0) for row in rows]


def without_ties(rows: Sequence[Row]) -> list[Row]:
    """Drop pairs of probability 0.5 and take all others for certain."""
    return [_certain(row) for row in rows if row.target != 0.5]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _parse(line: str, data: str, default_id: str) -> Iterable[Row]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON ({error.msg})") from error
    if not isinstance(values, dict):
        raise DataError("not a JSON object")
    shape = _shape(values)
    if shape not in _ACCEPTED.get(data, ()):
        raise DataError(f"has the shape of {shape} data, but the method needs {data}")
    values = {"id": default_id, **values}
    return {"pairs": _pair, "binary": _binary, "lists": _list}[shape](values)


_ACCEPTED = {"pairs": ("pairs", "lists"), "binary": ("binary",)}


def _shape(values: Mapping[str, Any]) -> str:
    for shape, field in (("pairs", "chosen"), ("lists", "completions"), ("binary", "completion")):
        if field in values:
            return shape
    raise DataError("has none of the fields chosen, completions, completion")


def _pair(values: Mapping[str, Any]) -> list[Row]:
    sides = {role: _text(values, role, completion=True) for role in ("chosen", "rejected")}
    target = _number(values, "probability", 0.0, 1.0, default=1.0)
    return [_row(values, sides, target, group=str(values.get("group") or values["id"]))]


def _binary(values: Mapping[str, Any]) -> list[Row]:
    label = values.get("label")
    if not isinstance(label, bool) and label not in (0, 1):
        raise DataError(f"field 'label' must be true or false, not {label!r}")
    texts = {"completion": _text(values, "completion", completion=True)}
    return [_row(values, texts, float(label), group=str(values.get("group") or values["id"]))]


def _list(values: Mapping[str, Any]) -> list[Row]:
    completions, ranks = values["completions"], values.get("ranks")
    if not isinstance(completions, list) or len(completions) < 2:
        raise DataError("field 'completions' must be a list of two or more")
    whole = isinstance(ranks, list) and all(type(rank) is int for rank in ranks)
    if not isinstance(ranks, list) or not whole or len(ranks) != len(completions):
        raise DataError(f"field 'ranks' must hold {len(completions)} whole numbers")
    texts = [_text({"completions": text}, "completions", completion=True) for text in completions]
    order = sorted(range(len(ranks)), key=lambda index: ranks[index])
    group = str(values.get("group") or values["id"])
    return [
        _row(
            {**values, "id": f"{values['id']}-{better}-{worse}"},
            {"chosen": texts[better], "rejected": texts[worse]},
            0.5 if ranks[better] == ranks[worse] else 1.0,
            group=group,
        )
        for better, worse in combinations(order, 2)
    ]


def _row(
    values: Mapping[str, Any], completions: Mapping[str, Text], target: float, *, group: str
) -> Row:
    # Zero, which no row may ask for, stands for "not given" until the rows of a group are counted.
    weight = _number(values, "weight", 1e-9, 1e6, default=0.0)
    if "completions" in values:
        count = len(values["completions"])
        weight = (weight or 1.0) * 2 / (count * (count - 1))
    prompt = _text(values, "prompt", completion=False)
    if any(isinstance(text, str) != isinstance(prompt, str) for text in completions.values()):
        raise DataError("prompt and completions must be of one kind, all texts or all messages")
    return Row(str(values["id"]), group, prompt, completions, target, weight)


def _text(values: Mapping[str, Any], field: str, *, completion: bool) -> Text:
    value = values.get(field)
    if isinstance(value, str) and (value or not completion):
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        if completion and value[-1]["role"] != "assistant":
            raise DataError(f"field '{field}' must end with a message of the assistant")
        return [_message(item) for item in value]
    raise DataError(f"field '{field}' must be a text or a list of role and content messages")


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
    with suppress(ValueError):
        arguments = json.loads(arguments)
    return {"name": function["name"], "arguments": arguments}


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
    )


def _number(
    values: Mapping[str, Any], field: str, low: float, high: float, *, default: float
) -> float:
    value = values.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"field '{field}' must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _share_group_weight(rows: Sequence[Row]) -> list[Row]:
    sizes = Counter(row.group for row in rows)
    return [_weighted(row, 1.0 / sizes[row.group]) for row in rows]


def _weighted(row: Row, default: float) -> Row:
    return row if row.weight else replace(row, weight=default)


def _certain(row: Row) -> Row:
    return replace(row, target=1.0) if row.target > 0.5 else _swapped(row)


def _swapped(row: Row) -> Row:
    """A pair whose chosen side is the less likely one, the other way round."""
    sides = {"chosen": row.completions["rejected"], "rejected": row.completions["chosen"]}
    return replace(row, completions=sides, target=1.0)
