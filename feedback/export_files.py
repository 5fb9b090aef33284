"""Rows into JSONL or Parquet, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.canonical_json import canonical_line
from feedback.models import Export

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
BATCH = 5_000
Shape = Export.Shape


def write_rows(rows: Iterable[Row], path: Path, shape: str, file_format: str) -> int:
    """Writes beside `path` and renames, so that a half-written file is never offered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.building")
    write = _write_parquet if file_format == Export.Format.PARQUET else _write_jsonl
    count = write(rows, building, shape)
    with building.open("rb") as file:
        os.fsync(file.fileno())
    building.rename(path)
    return count


def _write_jsonl(rows: Iterable[Row], path: Path, shape: str) -> int:
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(canonical_line(row))
            count += 1
    return count


def _write_parquet(rows: Iterable[Row], path: Path, shape: str) -> int:
    # Only workers write files: a web process never pays for pyarrow.
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = schema_of(shape), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def schema_of(shape: str) -> pa.Schema:
    import pyarrow as pa

    fields = {**_COMMON, **_FIELDS[shape]} if shape in _SHAPED else _FIELDS[shape]
    return pa.schema([(name, _type(kind)) for name, kind in fields.items()])


def _type(kind: Any) -> pa.DataType:
    """From the small language of the tables below: a list is a list, a dict a struct."""
    import pyarrow as pa

    if isinstance(kind, list):
        return pa.list_(_type(kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, _type(inner)) for name, inner in kind.items()])
    return {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}[
        kind
    ]


_CALL = {"id": "text", "type": "text", "function": {"name": "text", "arguments": "text"}}
_MESSAGES = [
    {
        "role": "text", "content": "text", "name": "text", "tool_call_id": "text",
        "tool_calls": [_CALL],
    }
]  # fmt: skip
_COMMON = {
    "id": "text", "side": "text", "criterion": "text", "prompt_id": "whole", "tags": ["text"],
}  # fmt: skip
_SHAPED = {Shape.PAIRS, Shape.PAIRS_CONVERSATIONAL, Shape.BINARY, Shape.LISTS, Shape.DEMONSTRATIONS}
_PAIR_FACTS = {
    "probability": "number", "strength": "number", "group": "text",
    "chosen_generator": "text", "rejected_generator": "text", "source": "text",
}  # fmt: skip
_FIELDS: dict[str, dict[str, Any]] = {
    Shape.PAIRS: {"prompt": "text", "chosen": "text", "rejected": "text", **_PAIR_FACTS},
    Shape.PAIRS_CONVERSATIONAL: {
        "prompt": _MESSAGES, "chosen": _MESSAGES, "rejected": _MESSAGES, **_PAIR_FACTS,
    },
    Shape.BINARY: {
        "prompt": _MESSAGES, "completion": _MESSAGES, "label": "flag", "generator": "text",
        "source": "text",
    },
    Shape.DEMONSTRATIONS: {
        "prompt": _MESSAGES, "completion": _MESSAGES, "generator": "text", "source": "text",
    },
    Shape.LISTS: {
        "prompt": _MESSAGES, "completions": [_MESSAGES], "ranks": ["whole"],
        "generators": ["text"],
    },
    Shape.RECORDS: {
        "id": "text", "kind": "text", "criterion": "text", "side": "text", "prompt_id": "whole",
        "prompt": _MESSAGES, "reference": "text", "tags": ["text"],
        "responses": [{"id": "text", "generator": "text", "messages": _MESSAGES}],
        "outcome": {
            "strength": "number", "both_bad": "flag", "ranks": ["whole"],
            "acceptable_to": "whole", "thumb": "whole",
        },
        "rewrites": [
            {"id": "text", "generator": "text", "messages": _MESSAGES, "judgment": "whole"}
        ],
        "state": "text", "probabilities": ["number"],
        "support": {"people": "whole", "judges": "whole"},
        "preference": "whole", "judgments": ["whole"], "adjudication": "whole",
        "policy": "whole", "protocol": "whole",
    },
    Shape.JUDGMENTS: {
        "judgment": "whole", "revision": "whole", "is_current": "flag", "is_counted": "flag",
        "item": "whole", "item_external_id": "text", "kind": "text", "criterion": "text",
        "prompt_id": "whole", "prompt_external_id": "text",
        "responses": [{"id": "text", "generator": "text"}], "shown_order": ["whole"],
        "strength": "whole", "strength_as_shown": "whole", "both_bad": "flag",
        "ranks": ["whole"], "ranks_as_shown": ["whole"], "acceptable_to": "whole",
        "thumb": "whole", "probabilities": ["number"], "reasons": ["text"],
        "annotator": "text", "annotator_kind": "text", "judge": "text",
        "occasion": "text", "state": "text", "origin": "text", "protocol": "whole",
        "active_ms": "whole", "duration_ms": "whole", "judged_at": "text",
    },
}  # fmt: skip
