"""Raw judgments, every revision and occasion, as rows for an export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from annotation.answers import AnswerValue, to_shown
from annotation.models import Annotator, Answer, Assignment, ItemResponse, Project
from annotation.selectors.judge import has_one_order
from feedback.selectors.votes import believed_answers

# Items read at a time.
CHUNK = 500
Row = dict[str, Any]


def count_answers(project: Project) -> int:
    return Answer.objects.filter(judgment__assignment__item__project=project).count()


def judgment_rows(project: Project) -> Iterator[Row]:
    """One row an answer, item by item. Whoever answered has a random name; what they wrote
    freely stays here."""
    items = list(project.items.order_by("pk").values_list("pk", flat=True))
    believed = believed_answers(project)
    for start in range(0, len(items), CHUNK):
        some = items[start : start + CHUNK]
        responses = _responses(some)
        for answer in _answers(some):
            yield _row(answer, responses[answer.judgment.assignment.item_id], believed)


def _answers(item_ids: Sequence[int]) -> QuerySet[Answer]:
    return (
        Answer.objects.filter(judgment__assignment__item__in=item_ids)
        .select_related(
            "judgment__protocol",
            "judgment__assignment__item__prompt",
            "judgment__assignment__annotator__judge",
        )
        .order_by("judgment__assignment__item_id", "pk")
    )


def _responses(item_ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
    rows = (
        ItemResponse.objects.filter(item__in=item_ids)
        .order_by("item_id", "position")
        .values_list("item_id", "response__uuid", "response__generator__name")
    )
    found: dict[int, list[dict[str, str]]] = {}
    for item_id, uuid, generator in rows:
        found.setdefault(item_id, []).append({"id": str(uuid), "generator": generator})
    return found


def _row(
    answer: Answer, responses: Sequence[dict[str, str]], believed: set[tuple[int, str, str]]
) -> Row:
    judgment = answer.judgment
    assignment = judgment.assignment
    item, judge = assignment.item, assignment.annotator.judge_id
    is_current = assignment.current_id == judgment.pk
    is_counted = (
        is_current
        and assignment.occasion == Assignment.MAIN
        and assignment.state == Assignment.State.DONE
        and (judge is None or (judge, item.kind, answer.criterion) in believed)
    )
    return {
        "judgment": judgment.pk,
        "revision": judgment.revision,
        "is_current": is_current,
        "is_counted": is_counted,
        "item": item.pk,
        "item_external_id": item.external_id,
        "kind": item.kind,
        "criterion": answer.criterion,
        "prompt_id": item.prompt_id,
        "prompt_external_id": item.prompt.external_id,
        "responses": list(responses),
        **_values(answer, _order(assignment)),
        **_annotator(assignment.annotator),
        "reasons": judgment.reasons,
        "occasion": assignment.occasion,
        "state": assignment.state,
        "origin": judgment.origin,
        "protocol": judgment.protocol.version,
        "active_ms": judgment.active_ms,
        "duration_ms": judgment.duration_ms,
        "judged_at": judgment.created_at.isoformat(),
    }


def _order(assignment: Assignment) -> Sequence[int] | None:
    """None: a judge that was asked in several orders, or of each response alone."""
    judge = assignment.annotator.judge
    return assignment.shown_order if judge is None or has_one_order(judge) else None


def _values(answer: Answer, shown_order: Sequence[int] | None) -> Row:
    """`shown_order[i]` is the canonical place of the response that was shown i-th."""
    value = AnswerValue.of(answer)
    shown = AnswerValue() if shown_order is None else to_shown(value, shown_order)
    return {
        "shown_order": None if shown_order is None else list(shown_order),
        "strength": answer.strength,
        "strength_as_shown": shown.strength,
        "both_bad": answer.both_bad,
        "ranks": answer.ranks,
        "ranks_as_shown": None if shown.ranks is None else list(shown.ranks),
        "acceptable_to": answer.acceptable_to,
        "thumb": answer.thumb,
        "probabilities": answer.probabilities,
    }


def _annotator(annotator: Annotator) -> Row:
    kind = (
        "judge" if annotator.judge_id
        else "person" if annotator.user_id
        else "imported" if annotator.source
        else "application"
    )  # fmt: skip
    return {
        "annotator": str(annotator.uuid),
        "annotator_kind": kind,
        "judge": str(annotator.judge) if annotator.judge else None,
    }
