"""Judgments that were made elsewhere, written in bulk, each once.

They are assignments too: done, without a lease, and they take no slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from core.errors import Conflict

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
    "duration_ms",
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
    "probabilities",
)


@dataclass(frozen=True, slots=True)
class NewJudgment:
    """`answers` are in canonical order; `shown_order` tells how the responses were shown.

    `probabilities` of a judge's answers, by criterion: as Answer.probabilities.
    """

    item: Item
    annotator: Annotator
    answers: Mapping[str, AnswerValue]
    shown_order: tuple[int, ...]
    comment: str = ""
    reasons: tuple[str, ...] = ()
    probabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    duration_ms: int | None = None

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
    protocol: Protocol | None = None,
) -> RecordedJudgments:
    """Writes what annotators have not answered yet; their first answer for a criterion stays.

    A file may give the criteria of one judgment in several rows: the later ones complete it.
    `protocol`: what was asked; an answer under an older one is then revised. None: the newest.
    """
    lock_content(project.pk)
    taken = _taken(judgments)
    fresh = {one.key: one for one in reversed(judgments) if one.key not in taken}
    stale = _under_older(judgments, protocol) if protocol is not None else set()
    protocol, source = protocol or project.protocol, str(Judgment.Origin(origin).value)
    if fresh:
        _write(list(fresh.values()), protocol, source)
        freeze_protocol(protocol=protocol)
    later = [one for one in judgments if fresh.get(one.key) is not one]
    renewed = [one for one in later if one.key in stale]
    for one in renewed:
        _revise(one, protocol, source, anew=True)
    later = [one for one in later if one.key not in stale]
    created = len(fresh) + len(renewed) + _complete(later, protocol, source)
    return RecordedJudgments(created=created, existing=len(judgments) - created)


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


def _under_older(judgments: Sequence[NewJudgment], protocol: Protocol) -> set[tuple[int, int]]:
    """Those that stand already, as answers to other questions."""
    keys = {one.key for one in judgments}
    rows = Assignment.objects.filter(
        item__in={one.item.pk for one in judgments},
        annotator__in={one.annotator.pk for one in judgments},
        occasion=Assignment.MAIN,
        current__protocol__version__lt=protocol.version,
    )
    return keys & set(rows.values_list("item_id", "annotator_id"))


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
                one.duration_ms,
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


def _array(numbers: Sequence[float]) -> str:
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
            likely = one.probabilities.get(criterion)
            answers.append(
                (
                    key,
                    criterion,
                    value.strength,
                    value.both_bad,
                    ranks,
                    value.acceptable_to,
                    value.thumb,
                    _array(likely) if likely is not None else None,
                )
            )
    return answers


_CRITERIA_BY_KEY = """
SELECT DISTINCT assignment.item_id, assignment.annotator_id, answer.criterion
FROM unnest(%s::bigint[], %s::bigint[]) AS key (item, annotator)
JOIN annotation_assignment assignment ON assignment.item_id = key.item
  AND assignment.annotator_id = key.annotator AND assignment.occasion = 'main'
JOIN annotation_answer answer ON answer.judgment_id = assignment.current_id
"""


def _complete(judgments: Sequence[NewJudgment], protocol: Protocol, origin: str) -> int:
    """Adds the criteria that are missing, a revision each; returns how many there were."""
    items = [one.item.pk for one in judgments]
    annotators = [one.annotator.pk for one in judgments]
    with connection.cursor() as cursor:
        cursor.execute(_CRITERIA_BY_KEY, [items, annotators])
        known = set(cursor.fetchall())
    completed = 0
    for one in judgments:
        missing = {
            criterion: value
            for criterion, value in one.answers.items()
            if (*one.key, criterion) not in known
        }
        if missing:
            _revise(replace(one, answers=missing), protocol, origin)
            known.update((*one.key, criterion) for criterion in missing)
            completed += 1
    return completed


def _revise(one: NewJudgment, protocol: Protocol, origin: str, *, anew: bool = False) -> None:
    """A further revision: the answers of the one before (unless `anew`), and the new ones."""
    assignment = Assignment.objects.select_related("current").get(
        item=one.item, annotator=one.annotator, occasion=Assignment.MAIN
    )
    before = assignment.current
    if before is None:
        raise Conflict(f"{one.annotator} has not answered item {one.item.pk} yet.")
    revision = before.revision + 1
    judgment = Judgment.objects.create(
        assignment=assignment,
        revision=revision,
        protocol=protocol,
        client_key=f"import:{one.item.pk}:{one.annotator.pk}:{revision}",
        origin=origin,
        reasons=list(dict.fromkeys([*([] if anew else before.reasons), *one.reasons])),
        duration_ms=one.duration_ms,
    )
    known = [] if anew else list(before.answers.all())
    likely = {answer.criterion: answer.probabilities for answer in known}
    likely |= {criterion: list(values) for criterion, values in one.probabilities.items()}
    answers = {answer.criterion: AnswerValue.of(answer) for answer in known}
    for criterion, value in one.answers.items():
        answers[criterion] = checked(one.item.kind, len(one.shown_order), value)
    Answer.objects.bulk_create(
        Answer(
            judgment=judgment,
            criterion=criterion,
            probabilities=likely.get(criterion),
            **value.as_fields(),
        )
        for criterion, value in answers.items()
    )
    said = JudgmentComment.objects.filter(judgment=before).values_list("text", flat=True)
    said = said.none() if anew else said
    comment = "\n".join(filter(None, [*said, one.comment]))
    if comment:
        JudgmentComment.objects.create(judgment=judgment, text=comment)
    Assignment.objects.filter(pk=assignment.pk, current=before).update(current=judgment)
