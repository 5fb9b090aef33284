"""Asking twice under one key: with the same settings it means the same row, with others none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from core.errors import Conflict


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


def as_kept(value: Any) -> Any:
    """As a JSON column gives it back: lists for tuples."""
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
