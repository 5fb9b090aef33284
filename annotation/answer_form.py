"""The labeling form: what it sends, and what it shows again when an answer is changed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from annotation.answers import AnswerValue, to_shown
from annotation.models import Answer, Assignment, Judgment, JudgmentComment, Kind, Protocol
from core.errors import PrefloopError

STEPS = (
    (3, "Much better", "response 1 is much better"),
    (2, "Better", "response 1 is better"),
    (1, "Slightly", "response 1 is slightly better"),
    (0, "Tie", "both are equally good"),
    (-1, "Slightly", "response 2 is slightly better"),
    (-2, "Better", "response 2 is better"),
    (-3, "Much better", "response 2 is much better"),
)


@dataclass(frozen=True)
class Sent:
    """A form that has arrived: answers in the order shown."""

    client_key: str
    answers: dict[str, AnswerValue]
    comment: str
    reasons: list[str]
    duration_ms: int | None
    active_ms: int | None


def read_form(data: QueryDict, *, kind: str, size: int, criteria: Sequence[str]) -> Sent:
    client_key = data.get("client_key", "")
    if not 8 <= len(client_key) <= 64 or "\0" in client_key:
        raise PrefloopError("The form came without its key. Reload the page and answer again.")
    return Sent(
        client_key=f"web:{client_key}",
        answers={key: _value(data, kind, size, key) for key in criteria},
        comment=data.get("comment", "")[:5000].replace("\0", ""),
        reasons=data.getlist("reasons"),
        duration_ms=_number(data, "duration_ms"),
        active_ms=_number(data, "active_ms"),
    )


def _value(data: QueryDict, kind: str, size: int, key: str) -> AnswerValue:
    if kind == Kind.PAIRWISE:
        return AnswerValue(
            strength=_number(data, f"strength-{key}"), both_bad=f"both_bad-{key}" in data
        )
    if kind == Kind.THUMBS:
        return AnswerValue(thumb=_number(data, f"thumb-{key}"))
    ranks = [_number(data, f"rank-{key}-{shown}") for shown in range(size)]
    return AnswerValue(
        ranks=tuple(rank or 0 for rank in ranks),
        acceptable_to=_number(data, f"acceptable_to-{key}"),
    )


def _number(data: QueryDict, name: str) -> int | None:
    text = data.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise PrefloopError(f"“{text[:20]}” is not a whole number.") from error


@dataclass(frozen=True)
class ShownResponse:
    """Nothing here tells one response from another but its place and its text."""

    index: int
    messages: list[dict[str, Any]]
    ranks: dict[str, int]

    @property
    def number(self) -> int:
        return self.index + 1


@dataclass(frozen=True)
class ShownCriterion:
    key: str
    name: str
    answer: AnswerValue = field(default_factory=AnswerValue)

    @property
    def scale(self) -> list[dict[str, Any]]:
        return [
            {
                "value": value,
                "short": short,
                "words": words,
                "checked": self.answer.strength == value,
            }
            for value, short, words in STEPS
        ]


@dataclass(frozen=True)
class ShownItem:
    """All that the labeling templates read."""

    kind: str
    assignment: int
    client_key: str
    prompt: list[dict[str, Any]]
    responses: list[ShownResponse]
    criteria: list[ShownCriterion]
    reasons: list[dict[str, Any]]
    comment: str = ""

    @property
    def draft_key(self) -> str:
        return f"{self.assignment}-{'change' if self.is_answered else 'new'}"

    @property
    def is_answered(self) -> bool:
        return any(criterion.answer != AnswerValue() for criterion in self.criteria)


def show_item(assignment: Assignment, protocol: Protocol) -> ShownItem:
    item, order = assignment.item, assignment.shown_order
    texts = {
        row.position: row.response.messages
        for row in item.item_responses.select_related("response").order_by("position")
    }
    answers = _answers(assignment.current, order)
    criteria = [
        ShownCriterion(each["key"], each["name"], answers.get(each["key"], AnswerValue()))
        for each in protocol.criteria
    ]
    return ShownItem(
        kind=item.kind,
        assignment=assignment.pk,
        client_key=uuid.uuid4().hex,
        prompt=item.prompt.messages,
        responses=[
            ShownResponse(shown, texts[position], _ranks_at(shown, criteria))
            for shown, position in enumerate(order)
        ],
        criteria=criteria,
        reasons=_reasons(protocol, assignment.current),
        comment=_comment(assignment.current),
    )


def _answers(judgment: Judgment | None, order: Sequence[int]) -> dict[str, AnswerValue]:
    if judgment is None:
        return {}
    answers = Answer.objects.filter(judgment=judgment)
    return {answer.criterion: to_shown(AnswerValue.of(answer), order) for answer in answers}


def _ranks_at(shown: int, criteria: Sequence[ShownCriterion]) -> dict[str, int]:
    return {
        criterion.key: criterion.answer.ranks[shown]
        for criterion in criteria
        if criterion.answer.ranks is not None
    }


def _reasons(protocol: Protocol, judgment: Judgment | None) -> list[dict[str, Any]]:
    given = set(judgment.reasons) if judgment else set()
    return [{"word": word, "checked": word in given} for word in protocol.reasons]


def _comment(judgment: Judgment | None) -> str:
    comment = JudgmentComment.objects.filter(judgment=judgment).first() if judgment else None
    return comment.text if comment else ""
