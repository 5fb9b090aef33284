"""Small parts that several formats share: answers from a winner, names, tags."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from annotation.answers import AnswerValue
from annotation.messages import Messages, checked_text
from core.errors import PrefloopError

# "Better" on the scale of 7: what a plain win says when no strength is given.
PLAIN_WIN = 2
TAG_DEPTH = 4
MOST_TAGS = 50
TURN = re.compile(r"\n\n(Human|Assistant):[ \t]*")
ROLE = {"Human": "user", "Assistant": "assistant"}


def win(winner: int | None) -> AnswerValue:
    """For a pair: 0 the first listed, 1 the second, None a tie."""
    if winner is None:
        return AnswerValue(strength=0)
    return AnswerValue(strength=PLAIN_WIN if winner == 0 else -PLAIN_WIN)


def refuse_unknown(record: dict[str, Any], known: Iterable[str], field: str = "") -> None:
    unknown = sorted(set(record) - set(known))
    if unknown:
        where = f"{field}.{unknown[0]}" if field else unknown[0]
        raise PrefloopError(f"is not a field here; known are {', '.join(known)}", field=where[:80])


def name(value: Any, field: str, *, longest: int = 150, default: str | None = None) -> str:
    """A short text without line breaks; numbers are taken as their digits."""
    if value is None and default is not None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = checked_text(value, field, longest=longest).strip()
    if not text and default is None:
        raise PrefloopError("is empty", field=field)
    if any(ord(character) < 32 for character in text):
        raise PrefloopError("has a line break or another control character", field=field)
    return text


def tags(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MOST_TAGS:
        raise PrefloopError(f"must be an object of at most {MOST_TAGS} tags", field="tags")
    _check_tag(value, "tags", TAG_DEPTH)
    return value


def _check_tag(value: Any, field: str, depth: int) -> None:
    if depth < 0:
        raise PrefloopError("is nested too deeply", field=field)
    if isinstance(value, str):
        checked_text(value, field, longest=10_000)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PrefloopError("is not a finite number", field=field)
    elif isinstance(value, list):
        for one in value:
            _check_tag(one, field, depth - 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            checked_text(key, field, longest=200)
            _check_tag(one, f"{field}.{key}"[:80], depth - 1)


def dialogue(text: str) -> tuple[str, Messages]:
    """A dialogue written as one text: what stands before its first mark, and its marked turns."""
    before, *rest = TURN.split(text)
    turns = [
        {"role": ROLE[who], "content": words.strip()}
        for who, words in zip(rest[::2], rest[1::2], strict=True)
    ]
    return before, turns
