"""Gives a labeler the next item, under a lease."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Annotator, Assignment, ItemResponse, Project
from annotation.selectors.queue import live_assignment, lock_next_item
from annotation.services.annotator import annotator_for_user
from core.errors import Conflict
from core.models import User

TRIES = 3


def claim_item(*, project: Project, user: User) -> Assignment | None:
    """What the user has open already, else a new lease; None when there is nothing for them."""
    annotator = annotator_for_user(user=user)
    for _ in range(TRIES):
        try:
            return _claim(project=project, annotator=annotator)
        except (IntegrityError, Conflict):
            # The same person answered or took the same item in this very moment.
            continue
    raise Conflict("Too much is happening at once with this account. Try again in a moment.")


@transaction.atomic
def _claim(*, project: Project, annotator: Annotator) -> Assignment | None:
    # Two windows of one person come one after the other, so that both show the same item.
    Annotator.objects.select_for_update(no_key=True).get(pk=annotator.pk)
    live = live_assignment(project=project, annotator=annotator)
    if live is not None and extend_lease(assignment=live):
        return live
    item_id = lock_next_item(project_id=project.pk, annotator_id=annotator.pk)
    if item_id is None:
        return None
    return _lease(item_id=item_id, annotator=annotator, until=_lease_end(project))


def _lease(*, item_id: int, annotator: Annotator, until: datetime) -> Assignment:
    size = ItemResponse.objects.filter(item_id=item_id).count()
    assignment, made = Assignment.objects.get_or_create(
        item_id=item_id,
        annotator=annotator,
        occasion=Assignment.MAIN,
        defaults={
            "shown_order": random.sample(range(size), size),
            "takes_slot": True,
            "lease_expires_at": until,
        },
    )
    if not made:
        # Theirs before, and run out: the same order is shown again.
        taken = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.EXPIRED).update(
            state=Assignment.State.LEASED, lease_expires_at=until
        )
        if not taken:
            raise Conflict("This item was answered a moment ago.")
        assignment.refresh_from_db()
    return assignment


def extend_lease(*, assignment: Assignment) -> bool:
    """False: the lease is gone; a late answer is kept all the same."""
    extended = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.LEASED).update(
        lease_expires_at=_lease_end(assignment.item.project)
    )
    return bool(extended)


def _lease_end(project: Project) -> datetime:
    return timezone.now() + timedelta(seconds=project.lease_seconds)
