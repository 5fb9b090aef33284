"""Gives a labeler the next item, under a lease."""

from __future__ import annotations

import random
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Case, F, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from annotation.models import Annotator, Assignment, Item, Project
from annotation.selectors.queue import claim_assignment, ready_seconds
from annotation.services.annotator import annotator_for_user
from core.errors import Conflict
from core.models import User

State = Assignment.State
TRIES = 3
# What one shows, and what is held ready to be shown after it.
MOST_LIVE = 2


def claim_item(*, project: Project, user: User, beside: Collection[int] = ()) -> Assignment | None:
    """What the user has open already, else a new lease; None when there is nothing for them.

    `beside` names the leases that the caller shows. With any, the answer is another one, held
    ready: its short lease must be kept up, and `open_assignment` tells that it is shown.
    """
    for _ in range(TRIES):
        try:
            with _its_own_transaction():
                return claim_assignment(
                    project=project, user=user, beside=beside, draw=_draw(project)
                )
        except IntegrityError:
            # The person answered or took the same item in this very moment, or never judged yet.
            annotator_for_user(user=user)
        except OperationalError as error:
            # At the tail of a project several may hold what another waits for; one of them yields.
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
    raise Conflict("Too much is happening at once with this account. Try again in a moment.")


def _its_own_transaction() -> AbstractContextManager[object]:
    """A single statement is one; a failure inside another transaction must not spoil that."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def _draw(project: Project) -> str:
    """Each time anew, so that nothing in the order of items tells gold or a probe."""
    number = random.randrange(100)
    if number < project.gold_share:
        return Assignment.GOLD
    return "probe 1" if number < project.gold_share + project.probe_share else Assignment.MAIN


@transaction.atomic
def open_assignment(*, assignment: Assignment) -> Assignment:
    """What was held ready is shown now, under a full lease.

    One that ran out is taken up again if others left room; else its answer comes late.
    """
    opened = _opened(assignment, State.LEASED)
    if not opened:
        _take_up_again(assignment)
    assignment.refresh_from_db(fields=["state", "lease_expires_at", "opened_at"])
    return assignment


def _opened(assignment: Assignment, state: str) -> int:
    now = timezone.now()
    return Assignment.objects.filter(pk=assignment.pk, state=state).update(
        state=State.LEASED,
        opened_at=Coalesce(F("opened_at"), now),
        lease_expires_at=now + timedelta(seconds=assignment.item.project.lease_seconds),
    )


def _take_up_again(assignment: Assignment) -> None:
    """Person, item, assignment: locks are taken in this order everywhere."""
    Annotator.objects.select_for_update(no_key=True).get(pk=assignment.annotator_id)
    item = Item.objects.select_for_update(no_key=True).get(pk=assignment.item_id)
    stream = Assignment.objects.exclude(occasion=Assignment.REVIEW)
    live = stream.filter(annotator=assignment.annotator_id, state=State.LEASED)
    has_room = live.filter(item__project=item.project_id).count() < MOST_LIVE
    if has_room and (item.is_open or not assignment.takes_slot):
        _opened(assignment, State.EXPIRED)


def extend_lease(*, assignment: Assignment) -> bool:
    """False: the lease is gone; a late answer is kept all the same."""
    project, now = assignment.item.project, timezone.now()
    full = now + timedelta(seconds=project.lease_seconds)
    ready = now + timedelta(seconds=ready_seconds(project))
    extended = Assignment.objects.filter(pk=assignment.pk, state=State.LEASED).update(
        lease_expires_at=Case(When(opened_at=None, then=ready), default=full)
    )
    return bool(extended)
