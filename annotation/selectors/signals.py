"""What gold, clocks and sides say of one person's newest judgments in a project."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.answers import AnswerValue, to_shown
from annotation.gold_match import agrees_with_item, expected_value
from annotation.models import (
    Annotator,
    Answer,
    Assignment,
    GoldAnswer,
    Judgment,
    Kind,
    Membership,
    PauseRule,
    Project,
)
from annotation.pause_signals import Measured, Signal, gold_accuracy, speed, straight_lining

# What is older says little of today, and bounds the search of a long history.
LOOK_BACK = timedelta(days=30)
RECENTLY = timedelta(minutes=2)
# One answer in a hundred is gold, at the smallest share there is.
RARITY = 100
# Programs need not say how long an answer took; beyond so many times the window nobody looks.
UNTIMED = 10
ANSWERED = (Assignment.State.DONE, Assignment.State.SURPLUS)
WITH_SIDES = (Kind.PAIRWISE, Kind.LISTWISE)


def measure(signal: str, membership: Membership, window: int) -> Measured:
    """Over at most `window` judgments since a manager restored the person, newest first."""
    return _MEASURES[signal](membership, window)


def lately_active(project: Project) -> list[Membership]:
    """Members who may work and have answered in the last two minutes."""
    lately = Assignment.objects.filter(
        item__project=project,
        annotator__user__memberships__project=project,
        annotator__user__memberships__state=Membership.State.ACTIVE,
        finished_at__gte=timezone.now() - RECENTLY,
    )
    people = set(lately.values_list("annotator__user_id", flat=True))
    return list(project.memberships.filter(user__in=people).select_related("user", "project"))


def _history(membership: Membership) -> QuerySet[Assignment]:
    """What the person finished lately, in whatever project: an index gives it newest first."""
    annotator = Annotator.objects.filter(user=membership.user_id).values_list("pk", flat=True)
    lately = Assignment.objects.filter(
        annotator_id__in=list(annotator), finished_at__gt=_since(membership)
    )
    return lately.order_by("-finished_at")


def _answered(membership: Membership) -> QuerySet[Assignment]:
    return _history(membership).filter(item__project=membership.project_id, state__in=ANSWERED)


def _since(membership: Membership) -> datetime:
    longest = timezone.now() - LOOK_BACK
    return max(longest, membership.restored_at) if membership.restored_at else longest


def _gold_accuracy(membership: Membership, window: int) -> Measured:
    # Few are gold: without an end the search would go through all of a long history.
    newest = _history(membership).values_list("pk", "occasion")[: RARITY * window]
    met = [pk for pk, occasion in newest if occasion == Assignment.GOLD]
    rows = list(_answered(membership).filter(pk__in=met).select_related("item")[:window])
    answers = _answers(rows)
    expected: dict[int, dict[str, AnswerValue]] = {}
    for one in GoldAnswer.objects.filter(item__in=[row.item_id for row in rows]):
        expected.setdefault(one.item_id, {})[one.criterion] = expected_value(one.expected)
    found = (
        agrees_with_item(row.item.kind, expected.get(row.item_id, {}), answers.get(row.pk, {}))
        for row in rows
    )
    return gold_accuracy([one for one in found if one is not None])


def _speed(membership: Membership, window: int) -> Measured:
    """By the first answers: changing one later takes a moment only. Some come without a time."""
    answered = _answered(membership).exclude(occasion=Assignment.REVIEW)
    newest = list(answered.values_list("pk", flat=True)[: UNTIMED * window])
    timed = Judgment.objects.filter(assignment__in=newest, revision=1).annotate(
        took=Coalesce("active_ms", "duration_ms")
    )
    took = dict(timed.exclude(took=None).values_list("assignment", "took"))
    return speed([took[pk] for pk in newest if pk in took][:window])


def _straight_lining(membership: Membership, window: int) -> Measured:
    sided = (
        _answered(membership).filter(item__kind__in=WITH_SIDES).exclude(occasion=Assignment.REVIEW)
    )
    rows = list(sided.select_related("item")[:window])
    answers = _answers(rows)
    return straight_lining(
        (row.item.kind, _by_side(answers[row.pk], row.shown_order))
        for row in rows
        if row.pk in answers
    )


def _by_side(answers: dict[str, AnswerValue], shown_order: list[int]) -> tuple[object, ...]:
    """Which side was said to be better, however strongly; or the order of those shown."""
    shown = [to_shown(answers[key], shown_order) for key in sorted(answers)]
    return tuple(
        one.ranks if one.strength is None else (one.strength > 0) - (one.strength < 0)
        for one in shown
    )


def _answers(rows: list[Assignment]) -> dict[int, dict[str, AnswerValue]]:
    """Of each assignment's current judgment, by criterion."""
    owner = {row.current_id: row.pk for row in rows}
    found: dict[int, dict[str, AnswerValue]] = {}
    for answer in Answer.objects.filter(judgment__in=[key for key in owner if key is not None]):
        found.setdefault(owner[answer.judgment_id], {})[answer.criterion] = AnswerValue.of(answer)
    return found


_MEASURES: dict[str, Callable[[Membership, int], Measured]] = {
    Signal.GOLD_ACCURACY: _gold_accuracy,
    Signal.SPEED: _speed,
    Signal.STRAIGHT_LINING: _straight_lining,
}
SIGNALS: tuple[str, ...] = tuple(PauseRule.Signal.values)
