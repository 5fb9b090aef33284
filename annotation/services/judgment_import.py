"""Judgments that were made elsewhere, written in bulk, each once.

They are assignments too: done, without a lease, and they take no slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from annotation.answers import AnswerValue, checked
from annotation.models import (
    Annotator,
    Answer,
    Assignment,
    Item,
    Judgment,
    JudgmentComment,
    Project,
    Protocol,
)
from annotation.services.content import lock_content
from annotation.services.project import freeze_protocol
from core.bulk import copy_rows, new_ids

ASSIGNMENT_FIELDS = (
    "id",
    "item",
    "annotator",
    "occasion",
    "shown_order",
    "state",
    "takes_slot",
    "current",
    "skip_reason",
    "created_at",
    "finished_at",
)
JUDGMENT_FIELDS = (
    "id",
    "assignment",
    "revision",
    "protocol",
    "client_key",
    "origin",
    "reasons",
    "created_at",
)
ANSWER_FIELDS = (
    "judgment",
    "criterion",
    "strength",
    "both_bad",
    "ranks",
    "acceptable_to",
    "thumb",
)


@dataclass(frozen=True, slots=True)
class NewJudgment:
    """`answers` are in canonical order; `shown_order` tells how the responses were shown."""

    item: Item
    annotator: Annotator
    answers: Mapping[str, AnswerValue]
    shown_order: tuple[int, ...]
    comment: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        return (self.item.pk, self.annotator.pk)


@dataclass(frozen=True)
class RecordedJudgments:
    created: int
    existing: int


@transaction.atomic
def record_judgments(
    *,
    project: Project,
    judgments: Sequence[NewJudgment],
    origin: str = Judgment.Origin.IMPORT,
) -> RecordedJudgments:
    """Writes the judgments of annotators who have not judged the item yet; the first one stays."""
    lock_content(project.pk)
    taken = _taken(judgments)
    fresh = {one.key: one for one in reversed(judgments) if one.key not in taken}
    if fresh:
        protocol = project.protocol
        _write(list(fresh.values()), protocol, str(Judgment.Origin(origin).value))
        freeze_protocol(protocol=protocol)
    return RecordedJudgments(created=len(fresh), existing=len(judgments) - len(fresh))


_ASSIGNMENTS_BY_KEY = """
SELECT assignment.item_id, assignment.annotator_id
FROM unnest(%s::bigint[], %s::bigint[]) AS key (item, annotator)
JOIN annotation_assignment assignment ON assignment.item_id = key.item
  AND assignment.annotator_id = key.annotator AND assignment.occasion = 'main'
"""


def _taken(judgments: Sequence[NewJudgment]) -> set[tuple[int, int]]:
    items = [one.item.pk for one in judgments]
    annotators = [one.annotator.pk for one in judgments]
    with connection.cursor() as cursor:
        cursor.execute(_ASSIGNMENTS_BY_KEY, [items, annotators])
        return set(cursor.fetchall())


def _write(judgments: list[NewJudgment], protocol: Protocol, origin: str) -> None:
    now = timezone.now()
    assignments = new_ids(Assignment, len(judgments))
    keys = new_ids(Judgment, len(judgments))
    rows = list(zip(judgments, assignments, keys, strict=True))
    done = str(Assignment.State.DONE.value)
    copy_rows(
        Assignment,
        ASSIGNMENT_FIELDS,
        (
            (
                assignment,
                one.item.pk,
                one.annotator.pk,
                Assignment.MAIN,
                _array(one.shown_order),
                done,
                False,
                key,
                "",
                now,
                now,
            )
            for one, assignment, key in rows
        ),
    )
    copy_rows(
        Judgment,
        JUDGMENT_FIELDS,
        (
            (
                key,
                assignment,
                1,
                protocol.pk,
                f"import:{one.item.pk}:{one.annotator.pk}",
                origin,
                list(one.reasons) if one.reasons else "{}",
                now,
            )
            for one, assignment, key in rows
        ),
    )
    copy_rows(Answer, ANSWER_FIELDS, _answer_rows(rows))
    copy_rows(
        JudgmentComment,
        ("judgment", "text"),
        ((key, one.comment) for one, _, key in rows if one.comment),
    )


def _array(numbers: Sequence[int]) -> str:
    """As PostgreSQL spells an array of numbers; the driver's own way costs ten times as much."""
    return f"{{{','.join(map(str, numbers))}}}"


def _answer_rows(
    rows: list[tuple[NewJudgment, int, int]],
) -> list[tuple[object, ...]]:
    answers: list[tuple[object, ...]] = []
    for one, _, key in rows:
        for criterion, value in one.answers.items():
            value = checked(one.item.kind, len(one.shown_order), value)  # noqa: PLW2901
            ranks = _array(value.ranks) if value.ranks is not None else None
            answers.append(
                (
                    key,
                    criterion,
                    value.strength,
                    value.both_bad,
                    ranks,
                    value.acceptable_to,
                    value.thumb,
                )
            )
    return answers
