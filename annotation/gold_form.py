"""The form in which a manager writes down the right answer to an item."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms

from annotation.answer_words import letter
from annotation.answers import AnswerValue
from annotation.models import Item, Kind, Protocol

PAIRWISE = [("", "–"), ("2", "A is better"), ("0", "Neither: a tie"), ("-2", "B is better")]
THUMBS = [("", "–"), ("1", "Good"), ("0", "Bad")]


class GoldForm(forms.Form):
    """One field a criterion, `answer-<key>`; one that is left empty is not measured."""

    def __init__(self, *args: Any, item: Item, protocol: Protocol, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.item = item
        size = item.item_responses.count()
        for criterion in protocol.criteria:
            name = f"answer-{criterion['key']}"
            self.fields[name] = _field(item.kind, size, criterion["name"])

    def values(self) -> dict[str, AnswerValue]:
        """After validation; in canonical order, as the page shows the responses."""
        given = {name.removeprefix("answer-"): value for name, value in self.cleaned_data.items()}
        return {key: _value(self.item.kind, value) for key, value in given.items() if value}

    @staticmethod
    def initial_of(answers: Mapping[str, AnswerValue]) -> dict[str, str]:
        return {f"answer-{key}": _written(value) for key, value in answers.items()}


def _field(kind: str, size: int, name: str) -> forms.Field:
    if kind == Kind.PAIRWISE:
        return forms.ChoiceField(label=name, choices=PAIRWISE, required=False)
    if kind == Kind.THUMBS:
        return forms.ChoiceField(label=name, choices=THUMBS, required=False)
    order = " ".join(letter(position) for position in range(size))
    return forms.RegexField(
        r"^\s*\d+([\s,]+\d+)*\s*$",
        label=name,
        required=False,
        max_length=60,
        help_text=f"A rank for each of {order}, in this order; 1 is best, equal ranks are a tie.",
        error_messages={"invalid": "Write ranks with spaces between them, such as 1 3 2."},
    )


def _value(kind: str, written: str) -> AnswerValue:
    if kind == Kind.PAIRWISE:
        return AnswerValue(strength=int(written))
    if kind == Kind.THUMBS:
        return AnswerValue(thumb=int(written))
    return AnswerValue(ranks=tuple(int(one) for one in re.findall(r"\d+", written)))


def _written(value: AnswerValue) -> str:
    """Only the side counts in gold, so that the strengths of one side are one choice."""
    if value.strength is not None:
        return str(2 * ((value.strength > 0) - (value.strength < 0)))
    if value.ranks is not None:
        return " ".join(map(str, value.ranks))
    return "" if value.thumb is None else str(value.thumb)
