"""The reviewer's queue, an item as it is shown blind, and who answered what."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from annotation.answer_form import ShownCriterion, ShownItem, ShownResponse
from annotation.answer_words import in_words
from annotation.answers import AnswerValue, to_shown
from annotation.models import Annotator, Answer, Project
from core.models import User
from feedback.models import Preference
from feedback.selectors.agreement import criterion_names
from feedback.selectors.preferences import contested

NO_ANSWER = AnswerValue()


def next_contested(project: Project, *, after: Preference | None = None) -> Preference | None:
    """Most disagreement first; `after` one that was put off, and round again at the end."""
    queue = contested(project).select_related("item__prompt", "item__project")
    if after is None:
        return queue.first()
    later = Q(agreement__gt=after.agreement) | Q(agreement=after.agreement, pk__gt=after.pk)
    return queue.filter(later).first() or queue.first()


def order_for(user: User, preference: Preference) -> list[int]:
    """A shuffle that is the same for this reviewer each time the item is opened."""
    order = list(range(preference.item.item_responses.count()))
    random.Random(f"{user.pk}:{preference.item_id}").shuffle(order)
    return order


def show_contested(
    preference: Preference, order: Sequence[int], *, answer: AnswerValue = NO_ANSWER, note: str = ""
) -> ShownItem:
    """As the labeling page shows an item; `answer` is in the order shown."""
    item = preference.item
    names = criterion_names(item.project)
    texts = {
        row.position: row.response.messages
        for row in item.item_responses.select_related("response")
    }
    criterion = ShownCriterion(
        preference.criterion, names.get(preference.criterion, preference.criterion), answer
    )
    return ShownItem(
        kind=item.kind,
        # Drafts are kept by this number: below zero it is no assignment's.
        assignment=-preference.pk,
        client_key=uuid.uuid4().hex,
        prompt=item.prompt.messages,
        responses=[
            ShownResponse(shown, texts[position], _rank(preference.criterion, answer, shown))
            for shown, position in enumerate(order)
        ],
        criteria=[criterion],
        reasons=[],
        comment=note,
    )


def _rank(criterion: str, answer: AnswerValue, shown: int) -> dict[str, int]:
    return {} if answer.ranks is None else {criterion: answer.ranks[shown]}


@dataclass(frozen=True)
class NamedAnswer:
    annotator: Annotator
    words: str
    reasons: list[str]
    comment: str


def named_answers(preference: Preference, order: Sequence[int]) -> list[NamedAnswer]:
    """The judgments that the preference rests on, in words of the order shown."""
    answers = (
        Answer.objects.filter(judgment__in=preference.judgment_ids, criterion=preference.criterion)
        .select_related(
            "judgment__comment",
            "judgment__assignment__annotator__judge",
            "judgment__assignment__annotator__user",
        )
        .order_by("judgment_id")
    )
    return [_named(answer, order) for answer in answers]


def _named(answer: Answer, order: Sequence[int]) -> NamedAnswer:
    comment = getattr(answer.judgment, "comment", None)
    shown = to_shown(AnswerValue.of(answer), order)
    return NamedAnswer(
        annotator=answer.judgment.assignment.annotator,
        words=in_words(shown, lambda position: f"Response {position + 1}"),
        reasons=answer.judgment.reasons,
        comment=comment.text if comment else "",
    )
