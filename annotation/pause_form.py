"""The form of a project's pause rules: a limit that is left empty is no rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms

from annotation.models import PauseRule
from annotation.pause_signals import Signal
from annotation.services.pause_rules import RuleValues
from core.errors import PrefloopError

WINDOW = 20


@dataclass(frozen=True)
class Words:
    limit: str
    unit: str
    of: str
    says: str
    most: int


WORDS = {
    Signal.GOLD_ACCURACY: Words(
        "Agrees with gold less often than", "%", "newest gold items",
        "Which side is better is compared, not by how much. 60 % over 20 items finds those who "
        "guess, and hardly ever anybody else.", 100,
    ),
    Signal.SPEED: Words(
        "Takes less for half of the answers than", "s", "newest answers",
        "Time with the page in view and in use; thinking about two long texts takes longer.", 3600,
    ),
    Signal.STRAIGHT_LINING: Words(
        "Gives the same answer by side more often than", "%", "newest answers",
        "Always the left one, always a tie, or lists left as they were shown. Sides are drawn by "
        "chance, so an honest person is near 50 %.", 100,
    ),
}  # fmt: skip


class PauseRulesForm(forms.Form):
    """Shares in percent here, between 0 and 1 in the rules."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for signal, words in WORDS.items():
            self.fields[f"{signal}_threshold"] = forms.FloatField(
                label=f"{words.limit} ({words.unit})", required=False, min_value=0,
                max_value=words.most,
            )  # fmt: skip
            self.fields[f"{signal}_window"] = forms.IntegerField(
                label=f"Over how many {words.of}", required=False, min_value=5, max_value=1000,
                initial=WINDOW,
            )  # fmt: skip

    def rows(self) -> list[tuple[Words, forms.BoundField, forms.BoundField]]:
        return [
            (words, self[f"{signal}_threshold"], self[f"{signal}_window"])
            for signal, words in WORDS.items()
        ]

    def rules(self) -> dict[str, RuleValues]:
        """After validation."""
        given = self.cleaned_data
        return {
            signal.value: RuleValues(
                threshold=_stored(signal, given[f"{signal}_threshold"]),
                window=given[f"{signal}_window"] or WINDOW,
            )
            for signal in WORDS
            if given[f"{signal}_threshold"] is not None
        }

    def show_error(self, error: PrefloopError) -> None:
        name = f"{error.fields.get('field')}_threshold"
        self.add_error(name if name in self.fields else None, error.message)

    @classmethod
    def of(cls, rules: Iterable[PauseRule]) -> PauseRulesForm:
        initial: dict[str, float] = {}
        for rule in rules:
            initial[f"{rule.signal}_threshold"] = _written(rule)
            initial[f"{rule.signal}_window"] = rule.window
        return cls(initial=initial)


def _stored(signal: Signal, limit: float) -> float:
    return limit if signal == Signal.SPEED else round(limit / 100, 4)


def _written(rule: PauseRule) -> float:
    """60 rather than 60.0."""
    limit = rule.threshold if rule.signal == Signal.SPEED else round(100 * rule.threshold, 2)
    return int(limit) if limit == int(limit) else limit
