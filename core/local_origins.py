"""Origins inside that the operator allowed by starting a server there.

They stand in a file of the data directory, which web processes and workers share. Commands of the
operator write it; no form, page or API does.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

NAME = "local-origins.json"


def local_origins() -> frozenset[str]:
    return frozenset(_read().values())


def allow_local(name: str, origin: str) -> None:
    """Until it is forbidden; another origin of the same name takes its place."""
    _change(lambda known: {**known, name: origin})


def forbid_local(name: str) -> None:
    _change(lambda known: {key: value for key, value in known.items() if key != name})


def _file() -> Path:
    return Path(settings.DATA_DIR) / NAME


def _read() -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    return known


def _change(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with _file().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        building = _file().with_suffix(".new")
        building.write_text(json.dumps(change(_read()), indent=1))
        building.rename(_file())
