"""What may be answered, and the way between the order shown and the canonical order.

`shown_order[i]` is the canonical position of the response that was shown i-th.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotation.models import Answer, Kind
from core.errors import PrefloopError


@dataclass(frozen=True)
class AnswerValue:
    """The value for one criterion; which fields are set depends on the kind of the item."""

    strength: int | None = None
    both_bad: bool = False
    ranks: tuple[int, ...] | None = None
    acceptable_to: int | None = None
    thumb: int | None = None

    @classmethod
    def of(cls, answer: Answer) -> AnswerValue:
        return cls(
            strength=answer.strength,
            both_bad=answer.both_bad,
            ranks=tuple(answer.ranks) if answer.ranks is not None else None,
            acceptable_to=answer.acceptable_to,
            thumb=answer.thumb,
        )

    def as_fields(self) -> dict[str, Any]:
        return {
            "strength": self.strength,
            "both_bad": self.both_bad,
            "ranks": list(self.ranks) if self.ranks is not None else None,
            "acceptable_to": self.acceptable_to,
            "thumb": self.thumb,
        }

    def as_expected(self) -> dict[str, Any]:
        """The shape of GoldAnswer.expected: only what was answered."""
        given = {name: value for name, value in self.as_fields().items() if value is not None}
        if not self.both_bad:
            del given["both_bad"]
        return given


def to_canonical(value: AnswerValue, shown_order: Sequence[int]) -> AnswerValue:
    if value.strength is not None:
        return replace(value, strength=value.strength if shown_order[0] == 0 else -value.strength)
    if value.ranks is not None:
        ranks = [0] * len(shown_order)
        for shown, position in enumerate(shown_order):
            ranks[position] = value.ranks[shown]
        return replace(value, ranks=tuple(ranks))
    return value


def to_shown(value: AnswerValue, shown_order: Sequence[int]) -> AnswerValue:
    if value.strength is not None:
        return to_canonical(value, shown_order)
    if value.ranks is not None:
        return replace(value, ranks=tuple(value.ranks[position] for position in shown_order))
    return value


def dense(ranks: Iterable[int]) -> tuple[int, ...]:
    """1, 3, 3 and 1, 2, 2 say the same: only the second is stored."""
    ranks = tuple(ranks)
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return tuple(places[rank] for rank in ranks)


def checked(kind: str, size: int, value: AnswerValue) -> AnswerValue:
    """The value as it may be stored, or a PrefloopError that says what is wrong with it."""
    if kind == Kind.PAIRWISE:
        return _checked_strength(value)
    if kind == Kind.LISTWISE:
        return _checked_ranks(value, size)
    if value.thumb not in (0, 1):
        raise PrefloopError("Choose good (1) or bad (0).")
    return AnswerValue(thumb=value.thumb)


def _checked_strength(value: AnswerValue) -> AnswerValue:
    strength = 0 if value.both_bad and value.strength is None else value.strength
    if strength is None or not -3 <= strength <= 3:
        raise PrefloopError("Choose a place on the scale, from 3 (first) to -3 (second).")
    if value.both_bad and strength != 0:
        raise PrefloopError("“Both bad” goes with a tie: choose the tie, or take “both bad” back.")
    return AnswerValue(strength=strength, both_bad=value.both_bad)


# How a choice is stored where people only pick: as a plain “better”.
PICKED = 2


def check_picks(values: Iterable[AnswerValue]) -> None:
    """Where one only picks, nobody was asked how much better; a made-up degree would count."""
    for value in values:
        if value.strength is not None and abs(value.strength) not in (0, PICKED):
            raise PrefloopError(
                "This project only asks which response is better: give "
                f"{PICKED} (the first), -{PICKED} (the second) or 0 (a tie).",
                field="strength",
            )


def _checked_ranks(value: AnswerValue, size: int) -> AnswerValue:
    ranks = value.ranks
    if ranks is None or len(ranks) != size or not all(1 <= rank <= size for rank in ranks):
        raise PrefloopError(f"Give each of the {size} responses a rank from 1 to {size}.")
    line = value.acceptable_to
    if line is not None and not 0 <= line <= size:
        raise PrefloopError(f"The last acceptable rank is between 0 (none) and {size} (all).")
    if line is not None:
        line = len({rank for rank in ranks if rank <= line})
    return AnswerValue(ranks=dense(ranks), acceptable_to=line)


def checked_all(
    kind: str, size: int, criteria: Sequence[str], values: Mapping[str, AnswerValue]
) -> dict[str, AnswerValue]:
    unknown = sorted(set(values) - set(criteria))
    if unknown:
        raise PrefloopError(f"This project has no criterion {', '.join(unknown)}.")
    missing = [key for key in criteria if key not in values]
    if missing:
        raise PrefloopError(f"An answer is missing for: {', '.join(missing)}.")
    return {key: checked(kind, size, values[key]) for key in criteria}
