"""Errors that a person or a program can mend: one base, one handler each for HTML and API."""

from __future__ import annotations

from typing import Any


class PrefloopError(Exception):
    """Raised by services; says what happened, why, and how to mend it."""

    code = "invalid"
    status = 400

    def __init__(self, message: str, /, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class Conflict(PrefloopError):
    """The row has moved on since it was read."""

    code = "conflict"
    status = 409


class NotAllowed(PrefloopError):
    """May see, may not do."""

    code = "not_allowed"
    status = 403
