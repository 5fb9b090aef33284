"""The queue as its managers see it: who is at work, who is paused, and what each holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from annotation.access import Capability
from annotation.models import Assignment, Flag, Item, Membership, PauseRule, Project
from annotation.pause_signals import in_words
from annotation.selectors.project import projects_where
from annotation.selectors.signals import measure
from annotation.selectors.throughput import judging_annotators
from core.models import AuditEvent, User

ACTIVE = timedelta(minutes=10)
PEOPLE_SHOWN = 300
FIRST_SHOWN = 12
LEASES_SHOWN = 300
PAUSED_SHOWN = 50
AT_HOME = 8


@dataclass(frozen=True)
class Lease:
    """An item in somebody's hands; `opened_at` is None while it is only held ready."""

    assignment: Assignment
    seen_at: datetime
    opened_at: datetime | None
    until: datetime


@dataclass
class AtWork:
    user: User
    is_paused: bool = False
    today: int = 0
    last_hour: int = 0
    seen_at: datetime | None = None
    leases: list[Lease] = field(default_factory=list)

    @property
    def is_active(self) -> bool:
        if self.is_paused or self.seen_at is None:
            return False
        return timezone.now() - self.seen_at < ACTIVE

    def saw(self, moment: datetime) -> None:
        self.seen_at = max(self.seen_at, moment) if self.seen_at else moment


@dataclass(frozen=True)
class Present:
    """Those who hold an item or have answered today, the last seen first; and how many more."""

    people: list[AtWork]
    active: int
    leases: int
    more: int

    @property
    def first(self) -> list[AtWork]:
        """Whoever holds something, and a dozen: the others are a press away."""
        return [one for place, one in enumerate(self.people) if one.leases or place < FIRST_SHOWN]

    @property
    def others(self) -> list[AtWork]:
        shown = {one.user.pk for one in self.first}
        return [one for one in self.people if one.user.pk not in shown]


def present(project: Project) -> Present:
    found: dict[int, AtWork] = {}
    for row in _answered_today(project):
        one = AtWork(row["user"], today=row["today"], last_hour=row["last_hour"])
        one.saw(row["last"])
        found[one.user.pk] = one
    leases = _leases(project)
    for lease in leases:
        user = lease.assignment.annotator.user
        if user is not None:
            holder = found.setdefault(user.pk, AtWork(user))
            holder.leases.append(lease)
            holder.saw(lease.seen_at)
    paused = project.memberships.filter(state=Membership.State.PAUSED, user__in=list(found))
    for user_id in paused.values_list("user_id", flat=True):
        found[user_id].is_paused = True
    people = sorted(found.values(), key=lambda one: (-_seconds(one.seen_at), one.user.username))
    return Present(
        people=people[:PEOPLE_SHOWN],
        active=sum(one.is_active for one in people),
        leases=len(leases),
        more=max(0, len(people) - PEOPLE_SHOWN),
    )


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def _answered_today(project: Project) -> list[dict[str, Any]]:
    """By the annotators' own histories, which an index holds: the rest is not read."""
    now = timezone.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    hour_ago = now - timedelta(hours=1)
    rows = list(
        Assignment.objects.filter(
            annotator__in=judging_annotators(project),
            item__project=project,
            state__in=[Assignment.State.DONE, Assignment.State.SURPLUS],
            finished_at__gte=min(midnight, hour_ago),
        )
        .values("annotator__user_id")
        .annotate(
            last=Max("finished_at"),
            today=Count("pk", filter=Q(finished_at__gte=midnight)),
            last_hour=Count("pk", filter=Q(finished_at__gte=hour_ago)),
        )
    )
    users = User.objects.in_bulk([row["annotator__user_id"] for row in rows])
    return [{**row, "user": users[row["annotator__user_id"]]} for row in rows]


def _leases(project: Project) -> list[Lease]:
    held = (
        Assignment.objects.filter(
            item__project=project, state=Assignment.State.LEASED, annotator__user__isnull=False
        )
        .select_related("annotator__user", "item")
        .order_by("created_at")[:LEASES_SHOWN]
    )
    return [_lease(one, project) for one in held]


def _lease(assignment: Assignment, project: Project) -> Lease:
    """Each sign of life extends the lease, so its end tells when the last one came."""
    until = assignment.lease_expires_at
    assert until is not None  # noqa: S101 -- the database says so
    opened = assignment.opened_at
    seen = until - timedelta(seconds=project.lease_seconds) if opened else assignment.created_at
    return Lease(assignment, min(seen, timezone.now()), opened, until)


@dataclass(frozen=True)
class Paused:
    """`by` is None where a rule did it. `evidence`: what gold, clocks and sides say now."""

    membership: Membership
    at: datetime | None
    by: User | None
    evidence: list[str]

    @property
    def by_rule(self) -> bool:
        return self.at is not None and self.by is None


def paused_people(project: Project) -> list[Paused]:
    """The last paused first."""
    members = list(
        project.memberships.filter(state=Membership.State.PAUSED).select_related("user")[
            :PAUSED_SHOWN
        ]
    )
    events = {
        event.target_id: event
        for event in AuditEvent.objects.filter(
            target_type=Membership._meta.label_lower,
            target_id__in=[str(member.pk) for member in members],
            action="pause_member",
        )
        .select_related("actor")
        .order_by("at", "pk")
    }
    windows = dict(project.pause_rules.values_list("signal", "window"))
    found = [_paused(member, events.get(str(member.pk)), windows) for member in members]
    return sorted(found, key=lambda one: _seconds(one.at), reverse=True)


def _paused(member: Membership, event: AuditEvent | None, windows: dict[str, int]) -> Paused:
    default = PauseRule._meta.get_field("window").default
    measured = (
        measure(signal, member, windows.get(signal, default)) for signal in PauseRule.Signal.values
    )
    return Paused(
        membership=member,
        at=event.at if event else None,
        by=event.actor if event else None,
        evidence=[words for one in measured if (words := in_words(one))],
    )


@dataclass(frozen=True)
class Waiting:
    """What a manager has to decide in one project."""

    project: Project
    paused: int
    held: int
    flags: int


def waiting_for_managers(user: User) -> list[Waiting]:
    """Only projects in which something waits; counts go by small partial indexes."""
    projects = {one.pk: one for one in projects_where(user, Capability.MANAGE)}
    within = list(projects)
    paused = Membership.objects.filter(state=Membership.State.PAUSED, project__in=within)
    held = Item.objects.filter(held_at__isnull=False, closed_at=None, project__in=within)
    flags = Flag.objects.filter(settled_at=None, assignment__item__project__in=within)
    counts = [
        _by_project(paused, "project"),
        _by_project(held, "project"),
        _by_project(flags, "assignment__item__project"),
    ]
    waiting = sorted({pk for count in counts for pk in count}, key=lambda pk: -counts[0].get(pk, 0))
    return [
        Waiting(projects[pk], *(count.get(pk, 0) for count in counts)) for pk in waiting[:AT_HOME]
    ]


def _by_project(rows: QuerySet[Any], path: str) -> dict[int, int]:
    return dict(rows.order_by().values_list(path).annotate(n=Count("pk")))
