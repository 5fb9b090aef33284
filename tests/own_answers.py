"""What somebody has answered: at any time, on any occasion, changed later."""

from __future__ import annotations

import itertools
from datetime import timedelta

from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item
from annotation.services.submit_judgment import submit_judgment
from core.models import User
from tests.cast import annotator_of

_keys = itertools.count(1)
BETTER = AnswerValue(strength=2)


def answer(
    item: Item,
    user: User,
    value: AnswerValue = BETTER,
    *,
    occasion: str = "main",
    order: list[int] | None = None,
    days_ago: float = 0,
    seconds: float = 12,
) -> Assignment:
    assignment = Assignment.objects.create(
        item=item,
        annotator=annotator_of(user),
        occasion=occasion,
        shown_order=order or list(range(item.item_responses.count())),
        takes_slot=occasion == "main",
        lease_expires_at=timezone.now() + timedelta(minutes=5),
        opened_at=timezone.now(),
    )
    change(assignment, value, seconds=seconds)
    when = timezone.now() - timedelta(days=days_ago)
    Assignment.objects.filter(pk=assignment.pk).update(finished_at=when)
    assignment.refresh_from_db()
    return assignment


def change(assignment: Assignment, value: AnswerValue, *, seconds: float = 12) -> None:
    submit_judgment(
        assignment=assignment,
        client_key=f"own-work-{next(_keys)}",
        answers={"overall": value},
        active_ms=round(1000 * seconds),
    )
