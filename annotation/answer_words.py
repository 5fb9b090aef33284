"""What an answer says, in words; responses are called A, B, C, … in canonical order."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase

from annotation.answers import AnswerValue

HOW_MUCH = {1: "slightly better", 2: "better", 3: "much better"}


def letter(position: int) -> str:
    return ascii_uppercase[position] if position < len(ascii_uppercase) else f"#{position + 1}"


def in_words(value: AnswerValue, name: Callable[[int], str] = letter) -> str:
    """`name` says what a position is called."""
    if value.strength is not None:
        if value.strength == 0:
            return "Both bad" if value.both_bad else "Tie"
        return f"{name(0 if value.strength > 0 else 1)} {HOW_MUCH[abs(value.strength)]}"
    if value.ranks is not None:
        return _order(value.ranks, value.acceptable_to, name)
    return "Good" if value.thumb else "Bad"


def _order(ranks: tuple[int, ...], acceptable_to: int | None, name: Callable[[int], str]) -> str:
    """`A > B = C`; a bar stands where what follows is not acceptable."""
    words = ""
    for place, rank in enumerate(sorted(set(ranks))):
        if place:
            words += " | " if acceptable_to is not None and rank == acceptable_to + 1 else " > "
        words += " = ".join(name(i) for i, one in enumerate(ranks) if one == rank)
    return f"| {words}" if acceptable_to == 0 else words
