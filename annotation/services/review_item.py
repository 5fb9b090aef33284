"""Reviews: a reviewer answers an item blind, under a lease that keeps other reviewers off it.

They are assignments of the occasion "review": no slot, a stored shuffled order, never counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotation.models import Annotator, Assignment, Item, ItemResponse, Project
from annotation.services.annotator import annotator_for_user
from core.errors import Conflict
from core.models import User

State = Assignment.State


@transaction.atomic
def claim_review(*, project: Project, user: User, item_ids: Sequence[int]) -> Assignment | None:
    """A lease on the first of these items that no other reviewer has open; None: on none.

    What the reviewer has open themselves is theirs again if it is among the items; else it is
    given back, so that nobody holds two.
    """
    annotator = _locked(user)
    _give_back(own_reviews(annotator).filter(item__project=project).exclude(item__in=item_ids))
    for item_id in item_ids:
        assignment = _lease(project, annotator, item_id)
        if assignment is not None:
            return assignment
    return None


def own_reviews(annotator: Annotator) -> QuerySet[Assignment]:
    return Assignment.objects.filter(
        annotator=annotator, occasion=Assignment.REVIEW
    ).select_related("item__prompt", "item__project", "current")


def _locked(user: User) -> Annotator:
    """Two windows of one person come one after the other, so that both show the same item."""
    annotator = annotator_for_user(user=user)
    return Annotator.objects.select_for_update(no_key=True).get(pk=annotator.pk)


def _lease(project: Project, annotator: Annotator, item_id: int) -> Assignment | None:
    """Who has the item's row may give it away; a row in somebody's hands is passed over."""
    free = Item.objects.filter(pk=item_id, project=project)
    if not free.select_for_update(no_key=True, skip_locked=True).exists():
        return None
    reviews = Assignment.objects.filter(item=item_id, occasion=Assignment.REVIEW)
    if reviews.filter(state=State.LEASED).exclude(annotator=annotator).exists():
        return None
    until = timezone.now() + timedelta(seconds=project.lease_seconds)
    size = ItemResponse.objects.filter(item=item_id).count()
    assignment, _ = own_reviews(annotator).get_or_create(
        item_id=item_id,
        annotator=annotator,
        occasion=Assignment.REVIEW,
        defaults={
            "shown_order": random.sample(range(size), size),
            "takes_slot": False,
            "lease_expires_at": until,
            "opened_at": timezone.now(),
        },
    )
    leased = Assignment.objects.filter(pk=assignment.pk, current=None).update(
        state=State.LEASED, lease_expires_at=until
    )
    assignment.state = State.LEASED
    return assignment if leased else None


@transaction.atomic
def put_off_review(*, assignment: Assignment) -> Assignment:
    """The item is free for other reviewers at once, and comes back to this one last."""
    put_off = Assignment.objects.filter(
        pk=assignment.pk, occasion=Assignment.REVIEW, state__in=[State.LEASED, State.EXPIRED]
    ).update(state=State.SKIPPED, lease_expires_at=None, finished_at=timezone.now())
    if not put_off and assignment.current_id is None:
        raise Conflict("This item is no longer open for you. Load the next one.")
    return assignment


def _give_back(reviews: QuerySet[Assignment]) -> None:
    reviews.filter(state=State.LEASED).update(state=State.EXPIRED, lease_expires_at=None)
