"""How much people answer a day and an hour, and what is left.

Days that are over are counted once and remembered by each process: with millions of assignments
that takes seconds, and the past does not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from django.core.cache import cache
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncHour
from django.utils import timezone

from annotation.models import Annotator, Assignment, Kind, Project
from annotation.pace import Pace, pace_of

DAYS = 14
HOURS = 24
REMEMBERED = timedelta(days=2)

Counts = dict[str, int]  # of each kind
Period = TypeVar("Period")


@dataclass(frozen=True)
class Throughput:
    """Judgments of each kind by day, oldest first, today (not over yet) last; and by hour."""

    days: list[tuple[date, Counts]]
    hours: list[tuple[datetime, Counts]]
    remaining: int
    open_items: int
    pace: Pace | None

    @property
    def today(self) -> int:
        return sum(self.days[-1][1].values())

    @property
    def last_hours(self) -> int:
        return sum(sum(counts.values()) for _, counts in self.hours)

    @property
    def kinds(self) -> list[str]:
        seen = {kind for _, counts in [*self.days, *self.hours] for kind in counts}
        return [kind for kind in Kind.values if kind in seen]


def throughput(project: Project) -> Throughput:
    now = timezone.now()
    days = _days(project, now)
    hours = _hours(project, now)
    open_items, remaining = _remaining(project)
    return Throughput(days, hours, remaining, open_items, _pace(days, hours))


def _pace(days: list[tuple[date, Counts]], hours: list[tuple[datetime, Counts]]) -> Pace | None:
    """By days that are over, from the first with work on; else by hours in which people worked."""
    full = [sum(counts.values()) for _, counts in days[:-1]]
    first = next((place for place, count in enumerate(full) if count), len(full))
    by_day = pace_of(full[first:], "day")
    if by_day is not None:
        return by_day
    # The last hour is not over yet.
    worked = [sum(counts.values()) for _, counts in hours[:-1]]
    return pace_of([count for count in worked if count], "hour")


def _remaining(project: Project) -> tuple[int, int]:
    """Open items, and the judgments that they wait for; those in somebody's hands are counted."""
    found = project.items.filter(is_open=True).aggregate(n=Count("pk"), slots=Sum("open_slots"))
    held = Assignment.objects.filter(
        item__project=project, state=Assignment.State.LEASED, takes_slot=True
    ).count()
    return found["n"], (found["slots"] or 0) + held


def _judged(project: Project) -> QuerySet[Assignment]:
    """Main judgments by people: what the queue asks for."""
    return Assignment.objects.filter(
        item__project=project, occasion=Assignment.MAIN, takes_slot=True, current__isnull=False
    )


def _days(project: Project, now: datetime) -> list[tuple[date, Counts]]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    past = [(midnight - timedelta(days=ago)).date() for ago in range(DAYS, 0, -1)]
    keys = {day: f"judged-{project.pk}-{day}" for day in past}
    known = cache.get_many(keys.values())
    if len(known) < len(past):
        rows = _judged(project).filter(
            finished_at__gte=midnight - timedelta(days=DAYS), finished_at__lt=midnight
        )
        counted: dict[date, Counts] = _grouped(
            rows.annotate(day=TruncDate("finished_at"))
            .values_list("day", "item__kind")
            .annotate(n=Count("pk"))
        )
        known = {key: counted.get(day, {}) for day, key in keys.items()}
        cache.set_many(known, timeout=REMEMBERED.total_seconds())
    today = _judged(project).filter(
        annotator__in=judging_annotators(project), finished_at__gte=midnight
    )
    so_far = dict(today.values_list("item__kind").annotate(n=Count("pk")))
    return [*((day, known[keys[day]]) for day in past), (midnight.date(), so_far)]


def _hours(project: Project, now: datetime) -> list[tuple[datetime, Counts]]:
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=ago) for ago in range(HOURS - 1, -1, -1)]
    rows = _judged(project).filter(
        annotator__in=judging_annotators(project), finished_at__gte=hours[0]
    )
    counted: dict[datetime, Counts] = _grouped(
        rows.annotate(hour=TruncHour("finished_at"))
        .values_list("hour", "item__kind")
        .annotate(n=Count("pk"))
    )
    return [(hour, counted.get(hour, {})) for hour in hours]


def _grouped(rows: Iterable[tuple[Period, str, int]]) -> dict[Period, Counts]:
    grouped: dict[Period, Counts] = {}
    for period, kind, count in rows:
        grouped.setdefault(period, Counter())[kind] += count
    return grouped


def judging_annotators(project: Project) -> list[int]:
    """Of everybody who ever was in the project, so that the history of each is an index away."""
    people = Annotator.objects.filter(user__memberships__project=project)
    return list(people.values_list("pk", flat=True))
