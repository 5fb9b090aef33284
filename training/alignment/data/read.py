"""Reads a file of rows for a method that needs one kind of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from training.alignment.data.conversions import CONVERSIONS
from training.alignment.data.kinds import PARSERS
from training.alignment.data.rows import DataError, Kind, Row, with_weights


def read_rows(path: Path, data: Kind, convert: Iterable[Kind] = ()) -> list[Row]:
    """Read a JSONL file for a method that needs `data`; lists become pairs where those are needed.

    Rows of the kinds in `convert` become what is needed too.
    """
    accepted: set[Kind] = {data, *convert}
    accepted |= {"lists"} if data == "pairs" else set()
    rows: list[Row] = []
    for number, line in _lines(path):
        try:
            rows.extend(_parse(line, data, accepted, f"{path.stem}-{number}"))
        except DataError as error:
            raise DataError(f"{path.name}, row {number}: {error}") from error
    if not rows:
        raise DataError(f"{path.name}: holds no usable {data} row")
    return with_weights(rows, data)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _parse(line: str, data: Kind, accepted: set[Kind], default_id: str) -> list[Row]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON ({error.msg})") from error
    if not isinstance(values, dict):
        raise DataError("not a JSON object")
    kind = _kind(values)
    if kind not in accepted:
        raise DataError(f"has the shape of {kind} data, but the method needs {data}")
    row = PARSERS[kind]({"id": default_id, **values})
    return [row] if kind == data else CONVERSIONS[kind, data](row)


def _kind(values: Mapping[str, Any]) -> Kind:
    if "chosen" in values:
        return "pairs"
    if "completions" in values:
        return "lists"
    if "completion" in values:
        return "binary" if "label" in values else "demonstrations"
    if "prompt" in values:
        return "prompts"
    raise DataError("has none of the fields chosen, completions, completion, prompt")
