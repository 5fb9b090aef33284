"""An item as its reviewer sees it, what was decided about items, and how decisions came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.utils import timezone

from annotation.answer_form import ShownCriterion, ShownItem, ShownResponse, show_item
from annotation.answers import AnswerValue, to_shown
from annotation.models import Assignment, Generator, ItemResponse, Judgment, Project
from core.models import User
from feedback.models import Adjudication, Preference
from feedback.selectors.review_queue import protocol_for
from feedback.selectors.review_votes import blind_answers
from feedback.services.adjudicate import FINAL

UNDO_FOR = timedelta(days=1)


def first_answer(assignment: Assignment) -> Judgment:
    """Only the first was blind, whatever came after it."""
    return assignment.judgments.get(revision=1)


def judged_before(assignment: Assignment) -> bool:
    """Whether the reviewer's own answer as a labeler is among those to be reviewed."""
    own = Assignment.objects.filter(item=assignment.item_id, annotator=assignment.annotator_id)
    return own.filter(occasion=Assignment.MAIN, current__isnull=False).exists()


def show_decision(assignment: Assignment, rows: Sequence[Preference], blind: Judgment) -> ShownItem:
    """The criteria that wait, each with what was decided and taken back, else the blind answer."""
    protocol = protocol_for(assignment.item.project, {row.criterion for row in rows})
    whole = show_item(assignment, protocol)
    asked = {one.key: one for one in whole.criteria}
    given = blind_answers(blind) | _taken_back(assignment)
    criteria = [
        replace(
            asked.get(row.criterion, ShownCriterion(row.criterion, row.criterion)),
            answer=_shown(given.get(row.criterion), assignment.shown_order),
        )
        for row in rows
    ]
    return replace(
        whole,
        criteria=criteria,
        reasons=[],
        comment="",
        comment_min_length=0,
        rewrite=None,
        responses=[_ranked(one, criteria) for one in whole.responses],
    )


def _shown(value: AnswerValue | None, order: Sequence[int]) -> AnswerValue:
    return AnswerValue() if value is None else to_shown(value, order)


def _ranked(response: ShownResponse, criteria: Sequence[ShownCriterion]) -> ShownResponse:
    given = {one.key: one.answer.ranks for one in criteria}
    ranks = {key: row[response.index] for key, row in given.items() if row is not None}
    return replace(response, ranks=ranks)


def _taken_back(assignment: Assignment) -> dict[str, AnswerValue]:
    rows = Adjudication.objects.filter(
        item=assignment.item_id,
        adjudicator=assignment.annotator.user_id,
        verdict=Adjudication.Verdict.DECIDED,
    ).order_by("pk")
    return {row.criterion: value_of(row) for row in rows}


def value_of(row: Adjudication) -> AnswerValue:
    return AnswerValue(
        strength=row.strength,
        both_bad=row.both_bad,
        ranks=None if row.ranks is None else tuple(row.ranks),
        acceptable_to=row.acceptable_to,
        thumb=row.thumb,
    )


@dataclass(frozen=True)
class Writer:
    number: int
    generator: Generator


def writers_of(assignment: Assignment) -> list[Writer]:
    """Who wrote the responses, in the order in which the reviewer sees them."""
    rows = ItemResponse.objects.filter(item=assignment.item_id).select_related(
        "response__generator"
    )
    by_place = {row.position: row.response.generator for row in rows}
    return [
        Writer(shown + 1, by_place[place]) for shown, place in enumerate(assignment.shown_order)
    ]


def last_decision(project: Project, user: User) -> Adjudication | None:
    """The reviewer's own last word, if it is of the last day and can still be taken back."""
    last = Adjudication.objects.filter(
        item__project=project, adjudicator=user, created_at__gte=timezone.now() - UNDO_FOR
    ).first()
    if last is None or last.verdict not in FINAL:
        return None
    newest = Adjudication.objects.filter(item=last.item_id, criterion=last.criterion).first()
    return last if newest == last else None
