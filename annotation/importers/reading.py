"""Reads files that anybody may have made: strictly, in bounded memory, with row numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from annotation.importers.rows import Meter, Problem
from core.errors import PrefloopError

MAX_LINE = 1_000_000
MAX_DOCUMENT = 200_000_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_lines(path: Path, meter: Meter) -> Iterator[tuple[int, dict[str, Any]] | Problem]:
    """Each line's object with its number. Blank lines are passed over."""
    for number, line in _lines(path, meter):
        if line is None:
            yield Problem(number, "", f"the line is longer than {MAX_LINE:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            yield number, _object(strict_json(line))
        except PrefloopError as error:
            yield Problem(number, "", error.message)


def _lines(path: Path, meter: Meter) -> Iterator[tuple[int, bytes | None]]:
    """None stands for a line that is too long; it is passed over without being kept."""
    meter.total += path.stat().st_size
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            meter.done += len(line)
            if len(line) <= MAX_LINE:
                yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                continue
            while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
                meter.done += len(line)
            yield number, None


def json_array(path: Path, meter: Meter) -> list[tuple[int, Any]]:
    """The elements of one JSON array with their numbers, from 1."""
    size = path.stat().st_size
    if size > MAX_DOCUMENT:
        raise PrefloopError(
            f"{path.name} has {size:,} bytes; a JSON array may have {MAX_DOCUMENT:,}. "
            "Larger data come as JSONL, one object a line."
        )
    try:
        document = strict_json(path.read_bytes().removeprefix(BYTE_ORDER_MARK))
    except PrefloopError as error:
        raise PrefloopError(f"{path.name} {error.message}.") from error
    if not isinstance(document, list):
        raise PrefloopError(f"{path.name} is not a JSON array.")
    meter.total += len(document)
    return list(enumerate(document, start=1))


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header; numbers are those of the file, where the header is 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            where = f"{path.name}, after line {reader.line_num}"
            raise PrefloopError(f"{where}: is not CSV in UTF-8 ({error}).") from None


def strict_json(data: bytes) -> Any:
    """JSON as the standard has it: no NaN, no duplicate keys, no bottomless nesting."""
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise PrefloopError(f"is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise PrefloopError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise PrefloopError(f"is not JSON: {error.msg} at column {error.colno}") from None
    except ValueError:
        raise PrefloopError("has a number that is too long") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise PrefloopError(f"has the key {twice[:40]!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise PrefloopError(f"has {name}, which is not JSON")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PrefloopError("is not a JSON object")
    return value


def file_in(folder: Path, name: str, format_name: str) -> Path:
    """`name` beside or inside what was given, with a clear word when it is not there."""
    path = folder / name if folder.is_dir() else folder.parent / name
    if not path.is_file():
        raise PrefloopError(f"The format {format_name} needs the file {name}, and it is not there.")
    return path
