"""The queue: which item a labeler gets next, and whether there is work at all.

What is handed out, and in which order, is decided by annotation_claim (migrations 0005_claim and
0009_steady_plans).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.models import Annotator, Assignment, Item, ItemResponse, Membership, Project
from core.compiled import Compiled, Slot
from core.models import User

# A lease that is only held ready is short: absent people hold nothing.
READY_SECONDS = 120


_FIELDS = Assignment._meta.concrete_fields
_NAMES = [field.attname for field in _FIELDS]
_CLAIM = (
    f"SELECT {', '.join(str(field.column) for field in _FIELDS)} "  # noqa: S608 -- our own names
    "FROM annotation_claim(%s, %s, %s::bigint[], %s, %s, %s)"
)


def claim_assignment(
    *, project: Project, user: User, beside: Collection[int], draw: str
) -> Assignment | None:
    """The one selector that writes: a single statement, which is a transaction of its own.

    `draw` is the occasion wanted; see the function in the database for what holds.
    """
    lease = (project.lease_seconds, ready_seconds(project))
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, (project.pk, user.pk, [*beside], draw, *lease))
        row = cursor.fetchone()
    return None if row is None else Assignment.from_db(connection.alias, _NAMES, row)


def ready_seconds(project: Project) -> int:
    return min(READY_SECONDS, project.lease_seconds)


def unseen_open_items(project: Project, annotator: Annotator | None) -> QuerySet[Item]:
    items = project.items.filter(is_open=True)
    if annotator is None:
        return items
    mine = Assignment.objects.filter(
        item=OuterRef("pk"), annotator=annotator, occasion=Assignment.MAIN
    ).exclude(state=Assignment.State.EXPIRED)
    return items.filter(~Exists(mine))


def is_held_by_others(*, project: Project, annotator: Annotator) -> bool:
    """Whether somebody's lease on an item that this annotator has not seen may still run out."""
    mine = Assignment.objects.filter(
        item=OuterRef("item"), annotator=annotator, occasion=Assignment.MAIN
    ).exclude(state=Assignment.State.EXPIRED)
    leases = Assignment.objects.filter(
        item__project=project,
        item__closed_at=None,
        item__held_at=None,
        item__is_gold=False,
        state=Assignment.State.LEASED,
        takes_slot=True,
    )
    return leases.filter(~Exists(mine)).exists()


def _own(user: Slot, project: Slot, *numbers: Slot) -> QuerySet[Assignment]:
    own = Assignment.objects.of_user(user).filter(item__project_id=project)
    # The stubs know of no expressions in a list.
    own = own.filter(pk__in=numbers)  # type: ignore[misc]
    return own.exclude(occasion=Assignment.REVIEW).select_related("item")


# A page shows one and holds another; it never names more than four. Not an array: the database
# would plan for its length anew each time.
_NUMBERS = ("first", "second", "third", "fourth")
OWN = Compiled(_own, **dict.fromkeys(("user", "project", *_NUMBERS), BigIntegerField()))


def own_by_number(
    *, project: Project, user: User, numbers: Collection[int]
) -> dict[int, Assignment]:
    """Those of these assignments, four at most, that the stream handed out to the user."""
    if len(numbers) > len(_NUMBERS):
        raise ValueError(f"{len(numbers)} assignments were asked for at once")
    asked = dict.fromkeys(_NUMBERS, 0) | dict(zip(_NUMBERS, numbers, strict=False))
    rows = OWN.rows(user=user.pk, project=project.pk, **asked)
    for assignment in rows:
        assignment.item.project = project
    return {assignment.pk: assignment for assignment in rows}


def _with_prompt(item: Slot) -> QuerySet[Item]:
    return Item.objects.filter(pk=item).select_related("prompt")


def _texts(item: Slot) -> QuerySet[ItemResponse, tuple[int, Any]]:
    texts = ItemResponse.objects.filter(item_id=item).order_by()
    return texts.values_list("position", "response__messages")


WITH_PROMPT = Compiled(_with_prompt, item=BigIntegerField())
TEXTS = Compiled(_texts, item=BigIntegerField())


def item_with_prompt(number: int) -> Item:
    item = WITH_PROMPT.first(item=number)
    if item is None:
        raise Item.DoesNotExist(f"There is no item {number}.")
    return item


def texts_of(number: int) -> dict[int, list[dict[str, Any]]]:
    """The responses of an item by their canonical positions."""
    return dict(TEXTS.rows(item=number))


def own_assignments(annotator: Annotator) -> QuerySet[Assignment]:
    """What the stream handed out, gold and probes like all else, with all that the page shows."""
    own = Assignment.objects.filter(annotator=annotator).exclude(occasion=Assignment.REVIEW)
    return own.select_related("item__project", "item__prompt", "current")


def answered_lately(*, project: Project, user: User) -> QuerySet[Assignment]:
    answered = Assignment.objects.visible_to(user).filter(
        item__project=project,
        state__in=[Assignment.State.DONE, Assignment.State.SURPLUS],
        finished_at__gte=timezone.now() - timedelta(days=1),
    )
    return answered.exclude(occasion=Assignment.REVIEW)


def last_answered(*, project: Project, user: User) -> Assignment | None:
    answered = answered_lately(project=project, user=user).order_by("-finished_at")
    return answered.select_related("item__prompt", "current").first()


def _versions(user: Slot, project: Slot) -> QuerySet[Assignment, tuple[int]]:
    answered = Assignment.objects.of_user(user).filter(
        item__project_id=project, current__isnull=False
    )
    newest = answered.order_by("-finished_at")[:1]
    return newest.values_list("current__protocol__version")


VERSIONS = Compiled(_versions, user=BigIntegerField(), project=BigIntegerField())


def last_protocol_version(*, project: Project, user: User) -> int | None:
    """The version by which the user judged last."""
    found = VERSIONS.first(user=user.pk, project=project.pk)
    return found[0] if found else None


@dataclass(frozen=True)
class Done:
    """How much the user has answered in a project."""

    today: int
    lately: int


def done_by(*, project: Project, user: User) -> Done:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    answered = answered_lately(project=project, user=user).aggregate(
        lately=Count("pk"), today=Count("pk", filter=Q(finished_at__gte=midnight))
    )
    return Done(**answered)


@dataclass(frozen=True)
class Work:
    """A project as its labeler sees it on the start page."""

    project: Project
    has_work: bool
    done_today: int
    is_paused: bool
    pause_reason: str


def work_of(user: User) -> list[Work]:
    """The projects in which the user judges, those with work first."""
    memberships = (
        Membership.objects.filter(user=user, project__archived_at=None)
        .exclude(state=Membership.State.LEFT)
        .select_related("project")
    )
    annotator = Annotator.objects.filter(user=user).first()
    work = [
        Work(
            project=membership.project,
            has_work=unseen_open_items(membership.project, annotator).exists(),
            done_today=done_by(project=membership.project, user=user).today,
            is_paused=membership.state == Membership.State.PAUSED,
            pause_reason=membership.state_reason,
        )
        for membership in memberships
    ]
    return sorted(work, key=lambda one: (one.is_paused, not one.has_work, one.project.name))
