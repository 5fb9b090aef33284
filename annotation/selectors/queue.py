"""The queue: which item a labeler gets next, and whether there is work at all.

Five probes, each of them bounded or indexed; the first row wins. An ordered scan that skips
one's own items is quadratic for a labeler who works alone, hence the random starting points.
"""

# ruff: noqa: S608 -- the statements are put together from constants of this module only

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.models import Annotator, Assignment, Item, Membership, Project
from core.models import User

# An expired lease may be taken up again by the same person; any other state was an answer.
_UNSEEN = """NOT EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.item_id = i.id AND a.annotator_id = %(annotator)s
      AND a.occasion = 'main' AND a.state <> 'expired')"""
# NO KEY: a row that refers to the item may be added meanwhile.
_TAKE = "LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED"
_FRESH = f"""
    SELECT i.id FROM annotation_item i
    WHERE i.project_id = %(project)s AND i.is_open AND NOT i.started AND {_UNSEEN}"""

# Started items first, through a window, so that few items lie about half judged.
_STARTED_NEARBY = f"""
    SELECT i.id FROM (
        SELECT id FROM annotation_item
        WHERE project_id = %(project)s AND is_open AND started AND rnd >= %(start)s
        ORDER BY rnd LIMIT 24
    ) nearby JOIN annotation_item i USING (id)
    WHERE i.is_open AND {_UNSEEN} {_TAKE}"""
_FRESH_OF_TOP_PRIORITY = f"""{_FRESH}
      AND i.rnd >= %(start)s AND i.priority = (
        SELECT priority FROM annotation_item
        WHERE project_id = %(project)s AND is_open AND NOT started
        ORDER BY priority DESC LIMIT 1)
    ORDER BY i.rnd {_TAKE}"""
_FRESH_FROM_THE_FRONT = f"{_FRESH} ORDER BY i.priority DESC, i.rnd {_TAKE}"
# Only at the tail of a project does a claim come this far.
_STARTED_ANYWHERE = f"""
    SELECT i.id FROM annotation_item i
    WHERE i.project_id = %(project)s AND i.is_open AND i.started AND {_UNSEEN} {_TAKE}"""

# What is left is in others' hands this very moment: wait, and see what they leave.
_WAITING = f"""
    SELECT i.id FROM annotation_item i
    WHERE i.project_id = %(project)s AND i.is_open AND {_UNSEEN}
    LIMIT 1 FOR NO KEY UPDATE OF i"""

PROBES = (
    _STARTED_NEARBY,
    _FRESH_OF_TOP_PRIORITY,
    _FRESH_FROM_THE_FRONT,
    _STARTED_ANYWHERE,
    _WAITING,
)


def lock_next_item(*, project_id: int, annotator_id: int) -> int | None:
    """The id of an open item that the annotator has not judged, its row locked.

    Call it inside a transaction: the lock is what keeps two labelers apart.
    """
    values = {
        "project": project_id,
        "annotator": annotator_id,
        "start": random.randrange(1_000_000),
    }
    with connection.cursor() as cursor:
        for probe in PROBES:
            cursor.execute(probe, values)
            row = cursor.fetchone()
            if row is not None:
                return int(row[0])
    return None


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
        state=Assignment.State.LEASED,
        takes_slot=True,
    )
    return leases.filter(~Exists(mine)).exists()


def own_assignments(annotator: Annotator) -> QuerySet[Assignment]:
    """With all that the labeling page shows of them."""
    return Assignment.objects.filter(annotator=annotator, occasion=Assignment.MAIN).select_related(
        "item__project", "item__prompt", "current"
    )


def live_assignment(*, project: Project, annotator: Annotator) -> Assignment | None:
    """What the annotator has open; a lease that ran out unnoticed is still theirs."""
    live = own_assignments(annotator).filter(state=Assignment.State.LEASED)
    return live.filter(item__project=project).first()


def answered_lately(*, project: Project, user: User) -> QuerySet[Assignment]:
    return Assignment.objects.visible_to(user).filter(
        item__project=project,
        state__in=[Assignment.State.DONE, Assignment.State.SURPLUS],
        finished_at__gte=timezone.now() - timedelta(days=1),
    )


def last_answered(*, project: Project, user: User) -> Assignment | None:
    answered = answered_lately(project=project, user=user).order_by("-finished_at")
    return answered.select_related("item__prompt", "current").first()


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
