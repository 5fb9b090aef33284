"""The labeling form: what it sends, and what it shows again when an answer is changed."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from annotation.answer_words import in_words
from annotation.answers import PICKED, AnswerValue, to_shown
from annotation.models import (
    Answer,
    Assignment,
    Draft,
    Item,
    Judgment,
    JudgmentComment,
    Kind,
    Project,
    Protocol,
    Rewrite,
)
from annotation.selectors.queue import item_with_prompt, texts_of
from annotation.services.rewrite_response import LONGEST_REWRITE, text_of
from core.errors import Conflict, PrefloopError

STEPS = (
    (3, "Much better", "response 1 is much better"),
    (2, "Better", "response 1 is better"),
    (1, "Slightly", "response 1 is slightly better"),
    (0, "Tie", "both are equally good"),
    (-1, "Slightly", "response 2 is slightly better"),
    (-2, "Better", "response 2 is better"),
    (-3, "Much better", "response 2 is much better"),
)
PICKS = (
    (PICKED, "Response 1", "response 1 is better"),
    (0, "Tie", "both are equally good"),
    (-PICKED, "Response 2", "response 2 is better"),
)


def stamp_of(protocol: Protocol) -> str:
    """Version and content: a version that nobody has judged by is changed in place."""
    asked = [
        (protocol.guidelines, protocol.criteria, protocol.reasons, protocol.thumbs_reasons),
        (protocol.pairwise_scale, protocol.comment_min_length, protocol.allows_rewrite),
    ]
    return f"{protocol.version}-{zlib.crc32(repr(asked).encode()):08x}"


def protocol_shown(data: QueryDict, *, project: Project, newest: Protocol) -> Protocol:
    """The protocol that stood beside the item when it was judged."""
    stamp = data.get("protocol", "")
    if stamp in ("", stamp_of(newest)):
        return newest
    version = stamp.partition("-")[0]
    if version.isdecimal() and len(version) < 10:
        older = project.protocols.filter(version=version).first()
        if older is not None and stamp_of(older) == stamp:
            return older
    raise Conflict("The guidelines changed while you answered. Read them, then send it again.")


@dataclass(frozen=True)
class Sent:
    """A form that has arrived: answers in the order shown."""

    client_key: str
    answers: dict[str, AnswerValue]
    comment: str
    reasons: list[str]
    rewrite: str
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
        rewrite=data.get("rewrite", ""),
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
    definition: str = ""
    is_pick: bool = False

    @property
    def scale(self) -> list[dict[str, Any]]:
        return [
            {"value": value, "short": short, "words": words, "checked": self._is_at(value)}
            for value, short, words in (PICKS if self.is_pick else STEPS)
        ]

    def _is_at(self, value: int) -> bool:
        """How much better is not asked where one only picks."""
        given = self.answer.strength
        if given is None or not self.is_pick:
            return given == value
        return (given > 0) - (given < 0) == (value > 0) - (value < 0)


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
    comment_min_length: int = 0
    # What the field for a better response begins with; None: none is asked for.
    rewrite: str | None = None
    protocol: str = ""
    # Of the answer that is there already; 0: none is.
    revision: int = 0

    @property
    def original(self) -> str:
        """What a rewrite takes the place of."""
        return text_of(self.responses[0].messages)

    @property
    def has_definitions(self) -> bool:
        return any(criterion.definition for criterion in self.criteria)

    @property
    def draft_key(self) -> str:
        return f"{self.assignment}-{'change' if self.is_answered else 'new'}"

    @property
    def is_answered(self) -> bool:
        return any(criterion.answer != AnswerValue() for criterion in self.criteria)


def show_item(assignment: Assignment, protocol: Protocol) -> ShownItem:
    item, order = _item(assignment), assignment.shown_order
    texts = texts_of(item.pk)
    current = assignment.current if assignment.current_id else None
    answers = _answers(current, order)
    criteria = _criteria(protocol, answers)
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
        reasons=_reasons(protocol, item.kind, current),
        comment=_comment(current),
        comment_min_length=protocol.comment_min_length,
        rewrite=_rewrite(protocol, item.kind, texts, current),
        protocol=stamp_of(protocol),
        revision=current.revision if current else 0,
    )


def _item(assignment: Assignment) -> Item:
    """Item and prompt by one query, unless they are there already."""
    if not Assignment.item.is_cached(assignment):
        assignment.item = item_with_prompt(assignment.item_id)
    return assignment.item


def _criteria(protocol: Protocol, answers: dict[str, AnswerValue]) -> list[ShownCriterion]:
    return [
        ShownCriterion(
            key=each["key"],
            name=each["name"],
            answer=answers.get(each["key"], AnswerValue()),
            definition=each.get("definition", ""),
            is_pick=protocol.pairwise_scale == Protocol.Scale.PICK,
        )
        for each in protocol.criteria
    ]


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


def _reasons(protocol: Protocol, kind: str, judgment: Judgment | None) -> list[dict[str, Any]]:
    given = set(judgment.reasons) if judgment else set()
    return [{"word": word, "checked": word in given} for word in protocol.reasons_for(kind)]


def _comment(judgment: Judgment | None) -> str:
    comment = JudgmentComment.objects.filter(judgment=judgment).first() if judgment else None
    return comment.text if comment else ""


def _rewrite(
    protocol: Protocol,
    kind: str,
    texts: dict[int, list[dict[str, Any]]],
    judgment: Judgment | None,
) -> str | None:
    """What was written before, or else the response as it is."""
    if kind != Kind.THUMBS or not protocol.allows_rewrite:
        return None
    rows = Rewrite.objects.filter(judgment=judgment).select_related("response")
    before = rows.first() if judgment else None
    text = text_of(before.response.messages if before else texts[0])
    return text if len(text) <= LONGEST_REWRITE else None


@dataclass(frozen=True)
class ShownDraft:
    as_json: str
    age_ms: int


def draft_of(assignment: Assignment) -> ShownDraft | None:
    draft = Draft.objects.filter(pk=assignment.pk).first()
    if draft is None:
        return None
    age = timezone.now() - draft.saved_at
    return ShownDraft(json.dumps(draft.values), max(0, int(age.total_seconds() * 1000)))


@dataclass(frozen=True)
class ShownRevision:
    number: int
    at: datetime
    words: list[tuple[str, str]]
    comment: str


def history_of(assignment: Assignment, protocol: Protocol) -> list[ShownRevision]:
    """One's own answers to an item, newest first."""
    names = {each["key"]: each["name"] for each in protocol.criteria}
    judgments = assignment.judgments.select_related("comment").prefetch_related("answers")
    return [
        ShownRevision(
            number=judgment.revision,
            at=judgment.created_at,
            words=[
                (names.get(answer.criterion, answer.criterion), _words(answer, assignment))
                for answer in sorted(judgment.answers.all(), key=lambda one: one.pk)
            ],
            comment=judgment.comment.text if hasattr(judgment, "comment") else "",
        )
        for judgment in judgments.order_by("-revision")
    ]


def _words(answer: Answer, assignment: Assignment) -> str:
    value = to_shown(AnswerValue.of(answer), assignment.shown_order)
    return in_words(value, lambda place: f"Response {place + 1}")
