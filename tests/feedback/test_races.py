"""Two at once, on connections of their own: nothing is decided twice, nothing is missed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from annotation.answers import AnswerValue
from annotation.models import Assignment, Kind, Side
from core.errors import Conflict
from feedback.models import Adjudication, Preference, Snapshot, StaleItem
from feedback.services.adjudicate import adjudicate
from feedback.services.freeze_snapshot import freeze
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items, resolve_stale
from tests.cast import Cast
from tests.feedback.votes import judged, revise

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each returned, or the error that it raised."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(place: int, work: Callable[[], Any]) -> None:
        start.wait()
        try:
            results[place] = work()
        except Conflict as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[place, work]) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_resolve(cast: Cast) -> None:
    for _ in range(5):
        judged(cast.project, Kind.PAIRWISE, 2, 1)
    first, second = at_once(*[lambda: resolve_items(project=cast.project)] * 2)
    assert sorted([first.changed, second.changed]) == [0, 5]
    assert Preference.objects.count() == 5


def test_two_make_the_first_policy(cast: Cast) -> None:
    first, second = at_once(*[lambda: current_policy(cast.project)] * 2)
    assert first == second


def test_two_freeze(cast: Cast) -> None:
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(cast.project, Kind.PAIRWISE, 2, 1, side=side)
    results = at_once(*[lambda: freeze(project=cast.project, created_by=None)] * 2)
    assert sorted(result.is_new for result in results) == [False, True]
    assert Snapshot.objects.count() == 1


def test_two_adjudicate(cast: Cast) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 2, -2)
    resolve_items(project=cast.project)
    seen = Preference.objects.newest().get().pk

    def decide(strength: int) -> Callable[[], Any]:
        return lambda: adjudicate(
            item=item, criterion="overall", adjudicator=cast.rita,
            value=AnswerValue(strength=strength), seen=seen,
        )  # fmt: skip

    results = at_once(decide(1), decide(-1))
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert Adjudication.objects.count() == Preference.objects.newest().count() == 1


def test_what_is_judged_while_resolving_is_not_missed(cast: Cast) -> None:
    """A judgment whose transaction ends after the resolver has looked stays stale."""
    judged(cast.project, Kind.PAIRWISE, 2, 1)
    assignment = Assignment.objects.earliest("pk")
    written, resolved = threading.Event(), threading.Event()

    def correct() -> None:
        with transaction.atomic():
            revise(assignment, -3)
            written.set()
            assert resolved.wait(60)

    def resolve() -> None:
        assert written.wait(60)
        resolve_items(project=cast.project)
        resolved.set()

    at_once(correct, resolve)
    assert Preference.objects.newest().get().state == "accepted"
    assert StaleItem.objects.count() == 1
    assert resolve_stale(project=cast.project).changed == 1
    assert Preference.objects.newest().get().state == "contested"
