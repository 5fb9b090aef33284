"""What waits for a reviewer, most disagreement first, and what a reviewer gets next.

Contested items come before those that are decided and where only judges say otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.models import Annotator, Assignment, Item, Kind, Project, Protocol
from annotation.services.review_item import own_reviews
from feedback.models import Adjudication, Preference
from feedback.selectors.agreement import criterion_names
from feedback.selectors.preferences import preferences_of

if TYPE_CHECKING:
    from feedback.models.preference import PreferenceQuerySet

State = Assignment.State
# A claim tries so many items before it says that others have them all.
TRIED = 50


@dataclass(frozen=True)
class Filter:
    """Empty: any."""

    kind: str = ""
    criterion: str = ""
    cause: str = ""

    @property
    def chosen(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value}


def waiting(project: Project, only: Filter | None = None) -> PreferenceQuerySet:
    """Not those that were sent back and whose further answers are still to come."""
    rows = preferences_of(project).exclude(cause="").filter(~Exists(_still_asked()))
    names = {"kind": "item__kind"}
    chosen = only.chosen if only else {}
    return rows.filter(**{names.get(name, name): value for name, value in chosen.items()})


def _still_asked() -> QuerySet[Adjudication]:
    """Sent back by the last word on it, and in the queue or in somebody's hands."""
    words = Adjudication.objects.filter(item=OuterRef("item"), criterion=OuterRef("criterion"))
    at_work = Assignment.objects.filter(
        item=OuterRef("item"), occasion=Assignment.MAIN, state=State.LEASED
    )
    return words.filter(
        Q(item__is_open=True) | Exists(at_work),
        ~Exists(words.filter(pk__gt=OuterRef("pk"))),
        verdict=Adjudication.Verdict.SENT_BACK,
    )


def count_sent_back(project: Project) -> int:
    """Items that will wait again once those who are asked have answered."""
    everything = preferences_of(project).exclude(cause="").values("item").distinct().count()
    return everything - waiting(project).values("item").distinct().count()


def waiting_on(item: Item) -> list[Preference]:
    """What of the item waits, in the order of its protocol's criteria."""
    rows = list(waiting(item.project).filter(item=item).select_related("item"))
    keys = [key for version in item.project.protocols.all() for key in version.criterion_keys]
    place = {key: number for number, key in enumerate(keys)}
    return sorted(rows, key=lambda row: place.get(row.criterion, 0))


def in_order(rows: PreferenceQuerySet) -> PreferenceQuerySet:
    """The longer it waits, the sooner it comes among equals."""
    flagged = Case(When(cause=Preference.Cause.JUDGES, then=1), default=0)
    return rows.order_by(flagged, F("disagreement").desc(nulls_last=True), "created_at", "pk")


def next_items(project: Project, annotator: Annotator, only: Filter) -> list[int]:
    """What this reviewer may be given, best first; what they answered blind already is not.

    First what they have open, last what they put off; what they judged as a labeler comes after
    what they did not, so that it rather goes to another reviewer.
    """
    mine = Assignment.objects.filter(item=OuterRef("item"), annotator=annotator)
    review = mine.filter(occasion=Assignment.REVIEW)
    rows = (
        waiting(project, only)
        .annotate(
            own=Coalesce(Subquery(review.values("state")[:1]), Value("")),
            put_off=Subquery(review.filter(state=State.SKIPPED).values("finished_at")[:1]),
            judged=Exists(mine.filter(occasion=Assignment.MAIN, current__isnull=False)),
            opened=Case(When(own=State.LEASED, then=0), default=1),
        )
        .filter(~Exists(_with_others(project, annotator)))
        .exclude(own=State.DONE)
    )
    order = in_order(rows).query.order_by
    rows = rows.order_by("opened", F("put_off").asc(nulls_first=True), "judged", *order)
    return list(dict.fromkeys(rows.values_list("item", flat=True)[: 2 * TRIED]))[:TRIED]


def _with_others(project: Project, annotator: Annotator) -> PreferenceQuerySet:
    """Open with another reviewer, or answered blind by them and not decided yet."""
    lately = timezone.now() - timedelta(seconds=project.lease_seconds)
    at_work = Q(state=State.LEASED) | Q(state=State.DONE, finished_at__gte=lately)
    reviews = Assignment.objects.filter(item=OuterRef("item"), occasion=Assignment.REVIEW)
    return reviews.filter(at_work).exclude(annotator=annotator)  # type: ignore[return-value]


def undecided(project: Project, annotator: Annotator, only: Filter) -> Assignment | None:
    """What the reviewer answered blind and left undecided; the newest first."""
    items = waiting(project, only).values("item")
    done = own_reviews(annotator).filter(item__project=project, state=State.DONE, item__in=items)
    return done.order_by("-finished_at").first()


@dataclass(frozen=True)
class Facet:
    """A choice of the filter and how many decisions it leaves."""

    value: str
    words: str
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class Queue:
    items: int
    facets: dict[str, list[Facet]]


def queue_of(project: Project, only: Filter) -> Queue:
    """`items` of the filter's choice; the choices themselves count all that waits."""
    columns = {"kind": "item__kind", "criterion": "criterion", "cause": "cause"}
    rows = waiting(project).order_by().values_list(*columns.values()).annotate(Count("pk"))
    counts: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for *values, count in rows:
        for name, value in zip(columns, values, strict=True):
            counts[name][value] += count
    words = {
        "kind": dict(Kind.choices),
        "criterion": criterion_names(project),
        "cause": dict(Preference.Cause.choices),
    }
    return Queue(
        items=waiting(project, only).values("item").distinct().count(),
        facets={
            name: [
                Facet(value, str(words[name].get(value, value)), n, getattr(only, name) == value)
                for value, n in sorted(counts[name].items())
            ]
            for name in columns
        },
    )


def protocol_for(project: Project, criteria: set[str]) -> Protocol:
    """The one in force, unless it asks no more for what waits: then the newest that did."""
    versions = list(project.protocols.order_by("-version"))
    return next((one for one in versions if criteria & set(one.criterion_keys)), versions[0])
