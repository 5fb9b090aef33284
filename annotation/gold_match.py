"""Whether an answer agrees with gold: one rule for pause rules, quality and people's own pages.

- Pairwise: the same side is better, however strongly; a tie (both bad too) is right only where
  gold says tie.
- Thumbs: the same thumb.
- Listwise: of the pairs of responses that gold puts in order, at least three quarters stand in
  the same order, which is Kendall's tau of 0.5 or more over them; a tie in the answer counts
  half. Who ranks at random is right once in six lists of three or four. Gold that ties
  everything is agreed with by a tie of everything. The line of acceptance is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from annotation.answers import AnswerValue
from annotation.models import Kind

LEAST_IN_ORDER = 0.75


def agrees(kind: str, expected: AnswerValue, answer: AnswerValue) -> bool:
    """Both in canonical order. An answer of another shape or size than gold's does not agree."""
    if kind == Kind.PAIRWISE:
        if expected.strength is None or answer.strength is None:
            return False
        return _sign(expected.strength) == _sign(answer.strength)
    if kind == Kind.LISTWISE:
        if expected.ranks is None or answer.ranks is None:
            return False
        return _same_order(expected.ranks, answer.ranks)
    return expected.thumb is not None and expected.thumb == answer.thumb


def agrees_with_item(
    kind: str, gold: Mapping[str, AnswerValue], answers: Mapping[str, AnswerValue]
) -> bool | None:
    """On every criterion that gold and the answers share; None when they share none."""
    shared = gold.keys() & answers.keys()
    if not shared:
        return None
    return all(agrees(kind, gold[key], answers[key]) for key in shared)


def expected_value(expected: Mapping[str, Any]) -> AnswerValue:
    """Of `GoldAnswer.expected`."""
    ranks = expected.get("ranks")
    return AnswerValue(
        strength=expected.get("strength"),
        both_bad=bool(expected.get("both_bad", False)),
        ranks=tuple(ranks) if ranks is not None else None,
        acceptable_to=expected.get("acceptable_to"),
        thumb=expected.get("thumb"),
    )


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _same_order(expected: tuple[int, ...], ranks: tuple[int, ...]) -> bool:
    if len(expected) != len(ranks):
        return False
    ordered = [
        (a, b) for a, b in combinations(range(len(expected)), 2) if expected[a] != expected[b]
    ]
    if not ordered:
        return len(set(ranks)) == 1
    right = sum(
        0.5 if ranks[a] == ranks[b] else (ranks[a] < ranks[b]) == (expected[a] < expected[b])
        for a, b in ordered
    )
    return right >= LEAST_IN_ORDER * len(ordered)
