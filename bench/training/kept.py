"""Training runs that outlive the process: each holds what it was made from, and by which commit."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.__main__ import origin

Launch = Callable[[Path], None]

NOTE = "trained.json"
FILES = ("train_file", "held_out_file")


def trained(values: Mapping[str, Any], launch: Launch, after: Path | None = None) -> Path:
    """The folder of the finished run of this configuration, trained unless it lies there already.

    What lies there is removed and trained anew where its settings, its data or the run before it
    (`after`) were others, or where it was never finished. The code may have changed meanwhile: the
    commit of the training is in the note, and `provenance` tells it.
    """
    output = Path(values["output_dir"])
    made_from = {
        "configuration": json.loads(json.dumps(dict(values))),
        "data": {name: _digest(Path(values[name])) for name in FILES if name in values},
        "after": _digest(after / NOTE) if after else None,
    }
    if _note(output).get("made_from") == made_from:
        return output
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    config = output.with_suffix(".json")
    config.write_text(json.dumps(dict(values), indent=2))
    began, started = origin(), time.monotonic()
    launch(config)
    took = {"measured": _now(), "seconds": round(time.monotonic() - started, 1)}
    note = {"made_from": made_from, "provenance": {**took, **began}}
    (output / NOTE).write_text(json.dumps(note, indent=2))
    return output


def provenance(output: Path) -> dict[str, Any]:
    """When, how long, by which commit and where a run was trained."""
    told: dict[str, Any] = _note(output)["provenance"]
    return told


def _note(output: Path) -> dict[str, Any]:
    path = output / NOTE
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
