"""What calls came to: of one chain, and of all of an item's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JUDGED, UNPARSABLE = "judged", "unparsable"


@dataclass(frozen=True)
class CriterionVerdict:
    """What one chain says about one criterion, in canonical order.

    `scores` has a place for each response, None for those that this chain did not show.
    `probabilities`: as Answer.probabilities; None where the chain gives none.
    `labels`: P of each label as shown, from log-probabilities, and `missing` the mass beside them.
    `parts`: the aspects whose mean the scores are.
    """

    strength: int | None = None
    both_bad: bool = False
    ranks: tuple[int, ...] | None = None
    thumb: int | None = None
    scores: tuple[float | None, ...] | None = None
    probabilities: tuple[float, ...] | None = None
    labels: Mapping[str, float] | None = None
    missing: float | None = None
    parts: Mapping[str, tuple[float | None, ...]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Only what is said."""
        kept = {
            "strength": self.strength,
            "both_bad": self.both_bad or None,
            "ranks": _listed(self.ranks),
            "thumb": self.thumb,
            "scores": _listed(self.scores),
            "probabilities": _listed(self.probabilities),
            "labels": dict(self.labels) if self.labels is not None else None,
            "missing": self.missing,
            "parts": {key: list(value) for key, value in self.parts.items()}
            if self.parts
            else None,
        }
        return {key: value for key, value in kept.items() if value is not None}


@dataclass(frozen=True)
class Verdict:
    """Of one chain. Unparsable is an outcome of its own, never a tie; `error` says why."""

    outcome: str
    criteria: Mapping[str, CriterionVerdict] = field(default_factory=dict)
    reason: str = ""
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """What JudgeCall.verdict keeps."""
        if self.outcome == UNPARSABLE:
            return {"outcome": self.outcome, "error": self.error}
        criteria = {key: value.to_json() for key, value in self.criteria.items()}
        return {"outcome": self.outcome, "criteria": criteria}


@dataclass(frozen=True)
class CombinedCriterion:
    """The judge's one answer for a criterion.

    `consistent`: whether all orders said the same; None where only one was asked.
    """

    strength: int | None = None
    both_bad: bool = False
    ranks: tuple[int, ...] | None = None
    thumb: int | None = None
    probabilities: tuple[float, ...] | None = None
    consistent: bool | None = None
    scores: tuple[float, ...] | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """The fields of annotation's AnswerValue that are set (ranks as a list)."""
        kept = {
            "strength": self.strength,
            "both_bad": self.both_bad or None,
            "ranks": _listed(self.ranks),
            "thumb": self.thumb,
        }
        return {key: value for key, value in kept.items() if value is not None}


@dataclass(frozen=True)
class Combined:
    """Of all chains of an item; `detail` is JudgeVerdict.detail."""

    outcome: str
    criteria: Mapping[str, CombinedCriterion]
    reason: str
    error: str
    detail: dict[str, Any]


def _listed(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)
