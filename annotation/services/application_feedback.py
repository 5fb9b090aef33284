"""What the end users of an application think of the answers they got, as the application tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from annotation.answers import AnswerValue, to_canonical, to_shown
from annotation.messages import Messages
from annotation.models import Annotator, Assignment, Item, Judgment, Project, Response
from annotation.services.content import (
    NewPrompt,
    NewResponse,
    add_prompts,
    add_responses,
    get_generator,
    lock_content,
)
from annotation.services.item import create_items
from annotation.services.submit_judgment import submit_judgment
from core.canonical_json import digest
from core.errors import PrefloopError


@dataclass(frozen=True)
class RecordedFeedback:
    judgment: Judgment
    created: bool


@transaction.atomic
def record_feedback(
    *,
    project: Project,
    application: str,
    external_id: str,
    kind: str,
    prompt: Messages,
    responses: Sequence[tuple[str, Messages]],
    answers: Mapping[str, AnswerValue],
    comment: str = "",
    open_item: bool = False,
) -> RecordedFeedback:
    """`responses` are (generator's name, messages); `answers` follow their order.

    The end users of an application are one annotator, who takes no slot. The same event again
    changes nothing; another event about the same item is a further revision, and the newest counts.
    """
    _check(project, kind, responses)
    lock_content(project.pk)
    key = f"application:{project.pk}:{digest([application, external_id])}"
    known = Judgment.objects.filter(client_key=key).select_related("assignment").first()
    if known is not None:
        return RecordedFeedback(known, created=False)
    listed = _responses(project, prompt, responses)
    made = create_items(
        project=project,
        kind=kind,
        groups=[listed],
        batch=f"application:{application}"[:100],
        closed=not open_item,
    )
    order = _order(listed)
    (item,) = made.items
    if item is None:
        raise PrefloopError("No item can be made of these responses.", field="responses")
    assignment = _assignment(item, application, order)
    shown = {
        criterion: to_shown(to_canonical(value, order), assignment.shown_order)
        for criterion, value in answers.items()
    }
    judgment = submit_judgment(
        assignment=assignment,
        client_key=key,
        answers=shown,
        comment=comment,
        origin=Judgment.Origin.APPLICATION,
    )
    return RecordedFeedback(judgment, created=True)


def _check(project: Project, kind: str, responses: Sequence[tuple[str, Messages]]) -> None:
    if kind not in project.protocol.kinds:
        raise PrefloopError(f"“{project}” does not collect {kind}.", field="kind")
    if len({digest(messages) for _, messages in responses}) < len(responses):
        raise PrefloopError(
            "Two responses have the same text, so there is nothing to choose between them.",
            field="responses",
        )


def _responses(
    project: Project, prompt: Messages, responses: Sequence[tuple[str, Messages]]
) -> list[Response]:
    (row,) = add_prompts(project=project, prompts=[NewPrompt(messages=prompt)])
    return add_responses(
        responses=[
            NewResponse(prompt=row, generator=get_generator(name=name), messages=messages)
            for name, messages in responses
        ]
    )


def _order(listed: Sequence[Response]) -> list[int]:
    """order[i] is the canonical position of the response that was listed i-th."""
    names = sorted(response.uuid for response in listed)
    return [names.index(response.uuid) for response in listed]


def _assignment(item: Item, application: str, order: list[int]) -> Assignment:
    annotator, _ = Annotator.objects.get_or_create(application=application)
    assignment, _ = Assignment.objects.get_or_create(
        item=item,
        annotator=annotator,
        occasion=Assignment.MAIN,
        defaults={
            "shown_order": order,
            "takes_slot": False,
            # Answered in this very transaction.
            "lease_expires_at": timezone.now(),
        },
    )
    return assignment
