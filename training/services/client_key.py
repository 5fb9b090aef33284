"""Asking twice under one key: with the same settings it means the same row, with others none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from core.errors import Conflict
from training.models import TrainingRun
from training.selectors.judge import SOURCES


class KeyUsed(Conflict):
    """The key has made something else: a form that a browser brought back, or a wrong program."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__(
            f"{kind.capitalize()} {number} was started under this client_key already, with other "
            f"settings. Send a new key to start another {kind} with these.",
            client_key="was sent before, with other settings",
        )
        self.kind, self.number = kind, number


def is_same(row: Model, values: Mapping[str, Any]) -> bool:
    """Whether the row keeps what is asked for now. A name that is left out may be any."""
    return all(
        value == "" or getattr(row, name) == as_kept(value) for name, value in values.items()
    )


def is_same_run(run: TrainingRun, values: Mapping[str, Any]) -> bool:
    """The same of a run. Its row keeps the version of a judge that was named without, and the KL
    budget that a resume has raised since."""
    asked, kept = values["config"], run.config
    judged = {key: _pinned(asked[key], kept.get(key, {})) for key in SOURCES if asked.get(key)}
    budget, now = asked.get("kl_budget"), kept.get("kl_budget")
    raised = {"kl_budget": now} if budget is not None and now is not None and now > budget else {}
    return is_same(run, {**values, "config": {**asked, **judged, **raised}})


def _pinned(asked: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Sources that are asked for, each judge in the version that the row keeps of it."""
    found = {}
    for name, source in asked.items():
        judge = str(kept.get(name, {}).get("judge", ""))
        is_version = judge.rpartition(" v")[0] == source.get("judge")
        found[name] = {**source, "judge": judge} if is_version else source
    return found


def as_kept(value: Any) -> Any:
    """As a JSON column gives it back: lists for tuples."""
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
