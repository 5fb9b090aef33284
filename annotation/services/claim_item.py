"""Gives a labeler the next item, under a lease."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Annotator, Assignment, ItemResponse, Project
from annotation.selectors.queue import live_assignment, lock_next_item, own_assignments
from annotation.services.annotator import annotator_for_user
from core.errors import Conflict
from core.models import User

TRIES = 3


def claim_item(*, project: Project, user: User) -> Assignment | None:
    """What the user has open already, else a new lease; None when there is nothing for them."""
    for _ in range(TRIES):
        try:
            return _claim(project=project, user=user)
        except (IntegrityError, Conflict):
            # The same person answered or took the same item in this very moment.
            continue
    raise Conflict("Too much is happening at once with this account. Try again in a moment.")


@transaction.atomic
def _claim(*, project: Project, user: User) -> Assignment | None:
    annotator = _locked_annotator(user)
    live = live_assignment(project=project, annotator=annotator)
    if live is not None and extend_lease(assignment=live):
        return live
    item_id = lock_next_item(project_id=project.pk, annotator_id=annotator.pk)
    if item_id is None:
        return None
    return _lease(item_id=item_id, annotator=annotator, until=_lease_end(project))


def _locked_annotator(user: User) -> Annotator:
    """Two windows of one person come one after the other, so that both show the same item."""
    annotators = Annotator.objects.select_for_update(no_key=True)
    known = annotators.filter(user=user).first()
    return known or annotators.get(pk=annotator_for_user(user=user).pk)


def _lease(*, item_id: int, annotator: Annotator, until: datetime) -> Assignment:
    size = ItemResponse.objects.filter(item_id=item_id).count()
    new = Assignment(
        item_id=item_id,
        annotator=annotator,
        occasion=Assignment.MAIN,
        shown_order=random.sample(range(size), size),
        takes_slot=True,
        lease_expires_at=until,
    )
    Assignment.objects.bulk_create([new], ignore_conflicts=True)
    assignment = own_assignments(annotator).get(item_id=item_id)
    if assignment.state != Assignment.State.LEASED:
        # Theirs before, and run out: the same order is shown again.
        _lease_again(assignment, until)
    return assignment


def _lease_again(assignment: Assignment, until: datetime) -> None:
    taken = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.EXPIRED).update(
        state=Assignment.State.LEASED, lease_expires_at=until
    )
    if not taken:
        raise Conflict("This item was answered a moment ago.")
    assignment.state, assignment.lease_expires_at = Assignment.State.LEASED, until


def extend_lease(*, assignment: Assignment) -> bool:
    """False: the lease is gone; a late answer is kept all the same."""
    extended = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.LEASED).update(
        lease_expires_at=_lease_end(assignment.item.project)
    )
    return bool(extended)


def _lease_end(project: Project) -> datetime:
    return timezone.now() + timedelta(seconds=project.lease_seconds)
