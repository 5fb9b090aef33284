"""Gives an item back unanswered; who skipped it is not asked again."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.models import Assignment, Item
from core.errors import Conflict
from core.services.audit import record_event

State = Assignment.State


@transaction.atomic
def skip_item(*, assignment: Assignment, reason: str = "", flagged: bool = False) -> Assignment:
    """Skipped or flagged often enough, the item leaves the queue and waits for the manager."""
    item = (
        Item.objects.select_for_update(no_key=True, of=("self",))
        .select_related("project")
        .get(pk=assignment.item_id)
    )
    words = f"flag: {reason}" if flagged else reason
    skipped = Assignment.objects.filter(
        pk=assignment.pk, state__in=[State.LEASED, State.EXPIRED]
    ).update(
        state=State.SKIPPED,
        skip_reason=words.strip()[:200],
        lease_expires_at=None,
        finished_at=timezone.now(),
    )
    assignment.refresh_from_db()
    if skipped:
        count_against(item=item, assignment=assignment)
    elif assignment.state != State.SKIPPED:
        raise Conflict("You have answered this item already, so it cannot be skipped.")
    return assignment


def count_against(*, item: Item, assignment: Assignment) -> None:
    """One person's skip or flag. `item` is locked; a flag is stored after this."""
    # Who skips a probe has answered the item before: it speaks of the person, not of the item.
    if assignment.occasion.startswith("probe") or assignment.flags.exists():
        return
    Item.objects.filter(pk=item.pk).update(skips=F("skips") + 1)
    held = Item.objects.filter(pk=item.pk, skips__gte=item.project.skip_limit, held_at=None).update(
        held_at=timezone.now()
    )
    if held:
        record_event(
            actor=assignment.annotator.user,
            action="hold_item",
            target=item,
            project_id=item.project_id,
            detail={"why": "skipped or flagged too often"},
        )
