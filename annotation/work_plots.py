"""The throughput of a project as sentences and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from annotation.models import Kind
from annotation.pace import time_left
from annotation.selectors.throughput import Counts, Throughput
from core.plots import Plot, Series, line_chart

# Of fewer a line would show nothing but that somebody has begun.
LEAST_HOURS = 3

Period = TypeVar("Period", date, datetime)


@dataclass(frozen=True)
class Told:
    """A plot with the sentence that comes first, and its numbers by date instead of by distance."""

    title: str
    sentence: str
    plot: Plot


def pace_sentence(found: Throughput) -> str:
    return time_left(found.remaining, found.pace)


def day_plot(found: Throughput) -> Told | None:
    """Days that are over, from the first with a judgment on."""
    days = _from_the_first(found.days[:-1])
    if len(days) < 2:
        return None
    most, when = max((sum(counts.values()), day) for day, counts in days)
    sentence = (
        f"{_total(days):,} in the {len(days)} days before today, most on {when:%-d %B}: {most:,}."
    )
    names = [f"{day:%a %-d %b}" for day, _ in days]
    return _told("Judgments a day", sentence, days, names, "days from today", found.kinds, -1)


def hour_plot(found: Throughput) -> Told | None:
    """The last day by the hour, from the first with a judgment on; the present one is not over."""
    hours = _from_the_first(found.hours)
    if len(hours) < LEAST_HOURS:
        return None
    sentence = f"{found.last_hours:,} in the last 24 hours; the hour that runs is not over."
    names = [f"{hour:%a %H}:00 UTC" for hour, _ in hours]
    return _told("Judgments an hour", sentence, hours, names, "hours from now", found.kinds, 0)


def _from_the_first(rows: Sequence[tuple[Period, Counts]]) -> list[tuple[Period, Counts]]:
    first = next((place for place, (_, counts) in enumerate(rows) if counts), len(rows))
    return list(rows[first:])


def _total(rows: Sequence[tuple[date, Counts]]) -> int:
    return sum(sum(counts.values()) for _, counts in rows)


def _told(
    title: str,
    sentence: str,
    rows: Sequence[tuple[date, Counts]] | Sequence[tuple[datetime, Counts]],
    names: list[str],
    x_label: str,
    kinds: list[str],
    last: int,
) -> Told:
    """`last`: where the last row stands, 0 for now."""
    x = [last - len(rows) + 1 + place for place in range(len(rows))]
    series = [Series(name, x, [count(row[1]) for row in rows]) for name, count in _lines(kinds)]
    plot = line_chart(series, title=title, x_label=x_label, y_label="judgments", include=(0,))
    table = tuple(
        (name, *(f"{count(row[1]):,}" for _, count in _lines(kinds)))
        for name, row in zip(names, rows, strict=True)
    )
    headers = ("", *(name for name, _ in _lines(kinds)))
    return Told(title, sentence, Plot(plot.svg, headers, table))


def _lines(kinds: list[str]) -> list[tuple[str, Callable[[Counts], int]]]:
    """A line for each kind; one alone needs no other name than what it counts."""
    if len(kinds) < 2:
        return [("all", lambda counts: sum(counts.values()))]
    return [(Kind(kind).label.lower(), _of(kind)) for kind in kinds]


def _of(kind: str) -> Callable[[Counts], int]:
    return lambda counts: counts.get(kind, 0)
