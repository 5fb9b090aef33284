"""Puts items on which a judge and people disagree to more people."""

from __future__ import annotations

from django.db import transaction

from annotation.models import Item, Judge, Project
from annotation.services.item import extend_overlap, reopen_item
from core.errors import PrefloopError
from core.models import User
from feedback.selectors.opposed_items import opposed_items

# Each is written to the audit; more are for the next time.
AT_ONCE = 200


@transaction.atomic
def ask_more_people(*, project: Project, judge: Judge, actor: User, more: int) -> int:
    """How many items `more` people are asked about. Nobody who is asked learns why.

    Closed items, as imports leave them, open again.
    """
    items = Item.objects.in_bulk(opposed_items(project, judge).items[:AT_ONCE])
    if not items:
        raise PrefloopError(
            "There is no item to ask more people about: where the judge and people disagree, "
            "people are being asked already."
        )
    reason = f"{judge} answers otherwise than people"
    for _, item in sorted(items.items()):
        if item.closed_at:
            reopen_item(item=item, actor=actor, reason=reason)
        missing = more - item.open_slots
        if missing > 0:
            extend_overlap(item=item, by=missing, actor=actor, reason=reason)
    return len(items)
