"""Takes items back from people who left them open, so that others may judge them."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation.models import Assignment, Item

BATCH = 500


@transaction.atomic
def expire_leases(*, limit: int = BATCH) -> int:
    """Returns how many leases ran out. Any number of sweepers may do this at once."""
    overdue = Assignment.objects.filter(
        state=Assignment.State.LEASED, lease_expires_at__lt=timezone.now()
    )
    found = list(overdue.order_by("lease_expires_at").values_list("pk", "item_id")[:limit])
    items = Item.objects.filter(pk__in=[item for _, item in found]).order_by("pk")
    # Item before assignment; what is in somebody's hands is left for the next sweep.
    free = items.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True)
    abandoned = overdue.filter(pk__in=[pk for pk, _ in found], item_id__in=list(free))
    locked = abandoned.select_for_update(no_key=True, skip_locked=True)
    return abandoned.filter(pk__in=list(locked.values_list("pk", flat=True))).update(
        state=Assignment.State.EXPIRED, lease_expires_at=None
    )
