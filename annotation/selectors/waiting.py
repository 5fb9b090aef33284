"""Items that need a manager: held or flagged, long begun, urgent, or without anybody to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.utils import timezone

from annotation.models import Annotator, Assignment, Flag, Item, Membership, Project

# Each list is bounded, whatever the size of the project: what is looked at, and what is shown.
LOOKED_AT = 1000
SHOWN = 10
DECISIONS_LOOKED_AT = 500
LATELY = timedelta(days=7)
OLD = timedelta(hours=24)


@dataclass(frozen=True)
class Note:
    """A labeler's word: a flag, or the reason of a skip."""

    who: str
    words: str
    text: str
    at: datetime | None
    flag: Flag | None


@dataclass(frozen=True)
class ToDecide:
    item: Item
    since: datetime
    notes: list[Note]

    @property
    def is_held(self) -> bool:
        return self.item.held_at is not None and self.item.closed_at is None

    @property
    def leaks_identity(self) -> bool:
        return any(one.flag and one.flag.kind == Flag.Kind.IDENTITY for one in self.notes)


def items_to_decide(project: Project) -> dict[int, datetime]:
    """Ids of held and flagged items, those that wait the longest first."""
    held = project.items.filter(held_at__isnull=False, closed_at=None).order_by("held_at")
    since: dict[int, datetime] = {
        pk: at
        for pk, at in held.values_list("pk", "held_at")[:DECISIONS_LOOKED_AT]
        if at is not None
    }
    for pk, at in _open_flags(project).values_list("assignment__item_id", "created_at"):
        since[pk] = min(at, since.get(pk, at))
    return dict(sorted(since.items(), key=lambda one: one[1]))


def _open_flags(project: Project) -> QuerySet[Flag]:
    found = Flag.objects.filter(settled_at=None, assignment__item__project=project)
    return found.order_by("created_at")[:DECISIONS_LOOKED_AT]


def to_decide(since: dict[int, datetime]) -> list[ToDecide]:
    """With the notes of those who flagged or skipped them."""
    items = Item.objects.filter(pk__in=since).select_related("prompt").in_bulk()
    notes: dict[int, list[Note]] = {pk: [] for pk in since}
    flagged: set[int] = set()
    flags = Flag.objects.filter(settled_at=None, assignment__item__in=since)
    for flag in flags.select_related("assignment__annotator__user").order_by("created_at"):
        flagged.add(flag.assignment_id)
        notes[flag.assignment.item_id].append(
            Note(_name(flag.assignment), flag.get_kind_display(), flag.note, flag.created_at, flag)
        )
    skipped = Assignment.objects.filter(item__in=since, state=Assignment.State.SKIPPED)
    for one in skipped.select_related("annotator__user").order_by("finished_at"):
        if one.pk not in flagged:
            note = Note(_name(one), "Skipped it", one.skip_reason, one.finished_at, None)
            notes[one.item_id].append(note)
    return [ToDecide(items[pk], at, notes[pk]) for pk, at in since.items() if pk in items]


def _name(assignment: Assignment) -> str:
    return str(assignment.annotator.user or assignment.annotator)


@dataclass(frozen=True)
class Ageing:
    """`begun`: started longest ago and not finished. `urgent`: of raised priority, not started.

    `stuck`: everybody who judges here has answered or skipped them already, and slots are open.
    """

    begun: Sequence[Item]
    urgent: Sequence[Item]
    stuck: Sequence[Item]
    stuck_count: int
    judging: int
    is_partial: bool


def ageing(project: Project) -> Ageing:
    now = timezone.now()
    judging = judging_people(project)
    mains = Assignment.objects.filter(item=OuterRef("pk"), occasion=Assignment.MAIN).order_by()
    begun = mains.values("item")
    annotators = list(Annotator.objects.filter(user__in=judging).values_list("pk", flat=True))
    seen = begun.filter(annotator__in=annotators).exclude(state=Assignment.State.EXPIRED)
    nearby = project.items.filter(is_open=True, started=True).order_by("rnd")
    # First the window, then what is dear: the other way round each item would be looked up.
    ids = list(nearby.values_list("pk", flat=True)[: LOOKED_AT + 1])
    started = list(
        Item.objects.filter(pk__in=ids[:LOOKED_AT])
        .annotate(
            begun_at=Subquery(begun.annotate(at=Min("created_at")).values("at")),
            seen_by=Subquery(seen.annotate(n=Count("pk")).values("n")),
        )
        .order_by("begun_at")
        .select_related("prompt")
    )
    stuck = [one for one in started if judging and (one.seen_by or 0) >= len(judging)]
    old = [one for one in started if one.begun_at and now - one.begun_at > OLD]
    urgent = project.items.filter(is_open=True, started=False, priority__gt=0)
    return Ageing(
        begun=old[:SHOWN],
        urgent=list(urgent.order_by("-priority", "rnd").select_related("prompt")[:SHOWN]),
        stuck=stuck[:SHOWN],
        stuck_count=len(stuck),
        judging=len(judging),
        is_partial=len(ids) > LOOKED_AT,
    )


def judging_people(project: Project) -> set[int]:
    """Labelers who may work, and others who may and have answered in the last week."""
    active = dict(
        project.memberships.filter(state=Membership.State.ACTIVE).values_list("user_id", "role")
    )
    labelers = {user for user, role in active.items() if role == Membership.Role.LABELER}
    # By number: their histories are then read by an index, not everybody's.
    others = dict(
        Annotator.objects.filter(user__in=active.keys() - labelers).values_list("pk", "user_id")
    )
    lately = Assignment.objects.filter(
        annotator__in=list(others),
        item__project=project,
        finished_at__gte=timezone.now() - LATELY,
    )
    return labelers | {others[pk] for pk in lately.values_list("annotator", flat=True).distinct()}
