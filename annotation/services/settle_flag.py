"""The manager's answer to what labelers flagged, and to items that they skipped too often."""

from __future__ import annotations

from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from annotation.models import Flag, Item
from annotation.services.item import close_item, reopen_item
from core.models import User
from core.services.audit import record_event


class Decision(StrEnum):
    KEEP = "keep"
    REOPEN = "reopen"
    CLOSE = "close"


@transaction.atomic
def settle_flag(*, flag: Flag, actor: User) -> Flag:
    """Somebody has seen to it; the item stays as it is."""
    settled = Flag.objects.filter(pk=flag.pk, settled_at=None).update(
        settled_at=timezone.now(), settled_by=actor
    )
    flag.refresh_from_db()
    if settled:
        record_event(
            actor=actor,
            action="settle_flag",
            target=flag,
            project_id=flag.assignment.item.project_id,
            detail={"item": flag.assignment.item_id, "kind": flag.kind},
        )
    return flag


@transaction.atomic
def decide_on_item(*, item: Item, decision: Decision, actor: User) -> Item:
    """Keeps it as it is, puts it back into the queue or closes it; that settles all its flags."""
    if decision == Decision.REOPEN:
        item = reopen_item(item=item, actor=actor)
    elif decision == Decision.CLOSE:
        item = close_item(item=item, actor=actor)
    for flag in Flag.objects.filter(assignment__item=item, settled_at=None).order_by("pk"):
        settle_flag(flag=flag, actor=actor)
    return item
