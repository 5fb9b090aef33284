"""One's own work: how much, how fast, and every answer, in the order in which it was given.

Main items, hidden gold and probes look alike here, as on the labeling page: nothing that this
module returns tells which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Aggregate, Count, FloatField, Q, QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from annotation.answer_words import in_words
from annotation.answers import AnswerValue, to_shown
from annotation.gold_match import agrees_with_item, expected_value
from annotation.messages import as_text
from annotation.models import Annotator, Assignment, GoldAnswer, Project
from annotation.share import Share, share_of
from core.models import User

DAYS = 30
PAGE = 25
SNIPPET = 160
# Gold is spoken of in tens, a day late: nobody can tell from a change which item it was.
GOLD_STEP = 10
GOLD_LEAST = 20
GOLD_DELAY = timedelta(days=1)
ANSWERED = (Assignment.State.DONE, Assignment.State.SURPLUS)


class Median(Aggregate):
    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class Day:
    date: date
    answers: int
    seconds: float | None


@dataclass(frozen=True)
class Pace:
    today: int
    total: int
    days: list[Day] = field(default_factory=list)
    seconds: float | None = None


@dataclass(frozen=True)
class OwnAnswer:
    assignment: Assignment
    prompt: str
    # Criterion and what was answered, in words: by the numbers that the responses had on screen.
    answers: list[tuple[str, str]]
    seconds: float | None
    changes: int


def own_answers(
    user: User, project: Project | None = None, *, kind: str = ""
) -> QuerySet[Assignment]:
    """What the user has answered in the projects that they still see."""
    # By number: joined, the annotator would hide that the newest are at hand in an index.
    annotator = Annotator.objects.filter(user=user).first()
    if annotator is None:
        return Assignment.objects.none()
    answered = Assignment.objects.filter(annotator=annotator, state__in=ANSWERED).exclude(
        occasion=Assignment.REVIEW
    )
    if project is not None:
        answered = answered.filter(item__project=project)
    else:
        answered = answered.filter(item__project__in=Project.objects.visible_to(user))
    return answered.filter(item__kind=kind) if kind else answered


def pace_of(answered: QuerySet[Assignment]) -> Pace:
    """Days are those of UTC, as everywhere; seconds are medians of the time spent on the page."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    counts = answered.order_by().aggregate(
        total=Count("pk"), today=Count("pk", filter=Q(finished_at__gte=midnight))
    )
    lately = answered.order_by().filter(finished_at__gte=midnight - timedelta(days=DAYS - 1))
    spent = Median(Coalesce("current__active_ms", "current__duration_ms"))
    rows = (
        lately.annotate(day=TruncDate("finished_at"))
        .values("day")
        .annotate(n=Count("pk"), ms=spent)
        .order_by("day")
    )
    days = [Day(row["day"], row["n"], _seconds(row["ms"])) for row in rows]
    return Pace(days=days, seconds=_seconds(lately.aggregate(ms=spent)["ms"]), **counts)


def page_of(answered: QuerySet[Assignment], before: Assignment | None) -> list[OwnAnswer]:
    """The newest, or those before one; one more than a page when there are older ones."""
    if before is not None:
        older = Q(finished_at__lt=before.finished_at) | Q(pk__lt=before.pk)
        answered = answered.filter(older, finished_at__lte=before.finished_at)
    rows = (
        answered.select_related("item__prompt", "item__project", "current__protocol")
        .prefetch_related("current__answers")
        .order_by("-finished_at", "-pk")
    )
    return [_in_words(row) for row in rows[: PAGE + 1]]


def _in_words(assignment: Assignment) -> OwnAnswer:
    judgment = assignment.current
    assert judgment is not None  # noqa: S101 -- the database says so of what is answered
    names = {one["key"]: one["name"] for one in judgment.protocol.criteria}
    given = sorted(judgment.answers.all(), key=lambda answer: answer.pk)
    spent = judgment.duration_ms if judgment.active_ms is None else judgment.active_ms
    return OwnAnswer(
        assignment=assignment,
        prompt=_last_words(assignment),
        answers=[
            (
                names.get(one.criterion, one.criterion),
                _words(to_shown(AnswerValue.of(one), assignment.shown_order)),
            )
            for one in given
        ],
        seconds=_seconds(spent),
        changes=judgment.revision - 1,
    )


def _words(shown: AnswerValue) -> str:
    """The bar of researchers' notation, said in words."""
    words = in_words(shown, _on_screen)
    return words.replace(" | ", "; not acceptable: ").replace("| ", "Not acceptable: ")


def _on_screen(place: int) -> str:
    return f"Response {place + 1}"


def _last_words(assignment: Assignment) -> str:
    messages = assignment.item.prompt.messages
    asked = [one for one in messages if one["role"] == "user"] or messages
    return " ".join(as_text(asked[-1])[: 4 * SNIPPET].split())[:SNIPPET] if asked else ""


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def gold_agreement(user: User, project: Project, *, now: datetime | None = None) -> Share | None:
    """How often the user agrees with gold; None where it is not shown, or not enough to say."""
    if not project.shows_gold_agreement:
        return None
    settled = own_answers(user, project).filter(
        occasion=Assignment.GOLD, finished_at__lt=(now or timezone.now()) - GOLD_DELAY
    )
    rows = list(
        settled.select_related("item")
        .prefetch_related("current__answers")
        .order_by("finished_at", "pk")
    )
    agreed = _agreed(rows)
    told = agreed[: len(agreed) // GOLD_STEP * GOLD_STEP]
    return share_of(sum(told), len(told)) if len(told) >= GOLD_LEAST else None


def _agreed(rows: Sequence[Assignment]) -> list[bool]:
    expected: dict[int, dict[str, AnswerValue]] = {}
    for one in GoldAnswer.objects.filter(item__in=[row.item_id for row in rows]):
        expected.setdefault(one.item_id, {})[one.criterion] = expected_value(one.expected)
    found = (
        agrees_with_item(
            row.item.kind,
            expected.get(row.item_id, {}),
            {one.criterion: AnswerValue.of(one) for one in row.current.answers.all()},  # type: ignore[union-attr]
        )
        for row in rows
    )
    return [one for one in found if one is not None]
