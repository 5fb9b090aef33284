"""Takes items back from who holds them, before their leases run out."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from annotation.models import Assignment, Item, Membership
from core.errors import Conflict
from core.models import User
from core.services.audit import record_event

State = Assignment.State


@transaction.atomic
def release_lease(*, assignment: Assignment, actor: User) -> Assignment:
    """An answer that comes all the same is kept, as after a lease that ran out."""
    item = Item.objects.select_for_update(no_key=True).get(pk=assignment.item_id)
    released = _expire([assignment.pk])
    assignment.refresh_from_db()
    if released:
        record_event(
            actor=actor,
            action="release_lease",
            target=assignment,
            project_id=item.project_id,
            detail={"item": item.pk, "annotator": assignment.annotator_id},
        )
    elif assignment.state != State.EXPIRED:
        raise Conflict("This item was answered or skipped a moment ago, so nobody holds it.")
    return assignment


@transaction.atomic
def release_all_leases(*, membership: Membership) -> int:
    """For somebody who may not work here any more: absent people hold nothing."""
    held = Assignment.objects.filter(
        annotator__user=membership.user_id, item__project=membership.project_id
    )
    return _release(held)


@transaction.atomic
def release_leases_of(*, user: User) -> int:
    """In all projects: the account has ended."""
    return _release(Assignment.objects.filter(annotator__user=user))


def _release(assignments: QuerySet[Assignment]) -> int:
    held = assignments.filter(state=State.LEASED)
    found = dict(held.values_list("pk", "item_id"))
    # Items before assignments, and in one order, so that nobody waits in a circle.
    items = Item.objects.filter(pk__in=found.values()).order_by("pk")
    list(items.select_for_update(no_key=True).values_list("pk", flat=True))
    return _expire(list(found))


def _expire(assignments: list[int]) -> int:
    return Assignment.objects.filter(pk__in=assignments, state=State.LEASED).update(
        state=State.EXPIRED, lease_expires_at=None
    )
