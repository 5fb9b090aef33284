"""The reward of the online comparison, cheap and the same for both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def vowels(_prompt: Any, answer: str, _facts: Mapping[str, Any]) -> float:
    """The share of an answer's characters that are vowels, in tenths; 0 for an empty one."""
    return 10.0 * sum(answer.lower().count(letter) for letter in "aeiou") / max(len(answer), 1)
