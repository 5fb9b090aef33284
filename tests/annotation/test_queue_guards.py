"""One test for each thing that keeps the queue right, so that taking it away is noticed.

Who waits for whom is arranged, never timed: a wait that should not be ends by lock_timeout.
tests/annotation/test_queue_mutations.py removes each guard and expects these tests to fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Annotator, Assignment, Item, Judgment
from annotation.services.claim_item import claim_item, extend_lease
from annotation.services.expire_leases import expire_leases
from annotation.services.submit_judgment import submit_judgment
from core.models import User
from tests.cast import Cast, annotator_of, make_item
from tests.races import in_threads

FIRST_BETTER = {"overall": AnswerValue(strength=2)}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %s"


def claim(cast: Cast, user: User) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def at_once(act: Callable[[], Any]) -> Any:
    """From another connection, where waiting for a lock is an error."""

    def run(_: int) -> Any:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
            return act()

    [result] = in_threads(1, run)
    if isinstance(result, Exception):
        raise result
    return result


class Waiter:
    """Another connection that is expected to wait for a lock of ours."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.pid = act, 0
        self.result: Any = None
        self.known, self.waiting = threading.Event(), False
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.pid = cursor.fetchone()[0]
            self.known.set()
            self.result = self.act()
        except Exception as error:  # noqa: BLE001 -- reported by the assertion of the test
            self.result = error
        finally:
            connection.close()

    def start(self) -> None:
        """Returns when it waits, or has ended without."""
        self.thread.start()
        self.known.wait(timeout=60)
        while self.thread.is_alive() and not self.waiting:
            with connection.cursor() as cursor:
                cursor.execute(WAITING, [self.pid])
                self.waiting = cursor.fetchone()[0] > 0

    def end(self) -> Any:
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()
        return self.result


def lock(*items: Item) -> None:
    locked = Item.objects.select_for_update(no_key=True)
    assert len(locked.filter(pk__in=[item.pk for item in items])) == len(items)


def start(*items: Item) -> None:
    for item in items:
        Item.objects.filter(pk=item.pk).update(started=True)


def passes_over(cast: Cast, locked: list[Item], free: Item) -> None:
    annotator_of(cast.bob)
    with transaction.atomic():
        lock(*locked)
        taken = at_once(lambda: claim_item(project=cast.project, user=cast.bob))
    assert taken.item_id == free.pk


@pytest.mark.django_db(transaction=True)
def test_a_locked_started_item_nearby_is_passed_over(cast: Cast) -> None:
    locked, free = make_item(cast.project, rnd=999_999), make_item(cast.project)
    start(locked)
    passes_over(cast, [locked], free)


@pytest.mark.django_db(transaction=True)
def test_a_locked_fresh_item_is_passed_over(cast: Cast) -> None:
    locked = make_item(cast.project, rnd=999_998)
    passes_over(cast, [locked], make_item(cast.project, rnd=999_999))


@pytest.mark.django_db(transaction=True)
def test_a_locked_fresh_item_at_the_front_is_passed_over(cast: Cast) -> None:
    locked = make_item(cast.project, rnd=-2)
    passes_over(cast, [locked], make_item(cast.project, rnd=-1))


@pytest.mark.django_db(transaction=True)
def test_a_locked_started_item_anywhere_is_passed_over(cast: Cast) -> None:
    locked = [make_item(cast.project, rnd=number - 100) for number in range(10)]
    free = make_item(cast.project, rnd=-1)
    start(*locked, free)
    passes_over(cast, locked, free)


@pytest.mark.django_db(transaction=True)
def test_who_finds_the_last_slot_locked_waits_for_it(cast: Cast) -> None:
    item = make_item(cast.project)
    annotator_of(cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        lock(item)
        waiter.start()
        assert waiter.waiting
    assert waiter.end().item_id == item.pk


@pytest.mark.django_db(transaction=True)
def test_who_finds_a_started_item_locked_waits_for_it(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2, started=True)
    annotator_of(cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        lock(item)
        waiter.start()
        assert waiter.waiting
    assert waiter.end().item_id == item.pk


@pytest.mark.django_db(transaction=True)
def test_what_another_begins_meanwhile_is_taken_at_once(cast: Cast) -> None:
    """Fresh when the wait began, started when it ends: a claim that passed it over would wait for
    the other item with this one in its hands."""
    item, other = make_item(cast.project, overlap=2), make_item(cast.project, overlap=2)
    Item.objects.filter(pk=item.pk).update(priority=1)
    annotator_of(cast.lena)
    annotator_of(cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        lock(other)
        assert claim(cast, cast.lena).item_id == item.pk
        waiter.start()
        assert waiter.waiting
    assert waiter.end().item_id == item.pk


@pytest.mark.django_db(transaction=True)
def test_who_loses_a_deadlock_tries_again(cast: Cast) -> None:
    """Bob's claim waits for the item; its holder waits for Bob, who is the younger to notice."""
    item, annotator = make_item(cast.project), annotator_of(cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        lock(item)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '60s'")
        waiter.start()
        assert waiter.waiting
        list(Annotator.objects.select_for_update(no_key=True).filter(pk=annotator.pk))
    assert waiter.end().item_id == item.pk


@pytest.mark.django_db(transaction=True)
def test_two_windows_come_one_after_the_other(cast: Cast) -> None:
    for _ in range(5):
        make_item(cast.project)
    annotator_of(cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        first = claim(cast, cast.bob)
        waiter.start()
    assert waiter.end() == first


@pytest.mark.django_db(transaction=True)
def test_what_is_answered_meanwhile_is_not_handed_out_again(cast: Cast) -> None:
    """The claim has seen the lease; before it extends it, the other window answers."""
    for _ in range(3):
        make_item(cast.project)
    first = claim(cast, cast.bob)
    waiter = Waiter(lambda: claim_item(project=cast.project, user=cast.bob))
    with transaction.atomic():
        submit_judgment(assignment=first, client_key="a", answers=FIRST_BETTER)
        waiter.start()
    second = waiter.end()
    assert second.item_id != first.item_id
    assert second.state == Assignment.State.LEASED


def test_a_lease_that_was_answered_is_not_made_again(cast: Cast) -> None:
    make_item(cast.project)
    first = claim(cast, cast.bob)
    submit_judgment(assignment=first, client_key="a", answers=FIRST_BETTER)
    again = "SELECT id FROM annotation_lease(%s, %s, 'main', now(), now())"
    with (
        pytest.raises(IntegrityError, match="answered in this very moment"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(again, [first.item_id, first.annotator_id])


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_during_the_sweep_keeps_the_lease(cast: Cast) -> None:
    """It comes after the sweep has found the lease overdue, and before it takes it back."""
    make_item(cast.project)
    mine = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    beats: list[Any] = []

    def beat_once(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "FOR NO KEY UPDATE" in sql and not beats:
            beats.append(None)
            beats[0] = at_once(lambda: extend_lease(assignment=mine))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(beat_once):
        assert expire_leases() == 0
    assert beats == [True]
    mine.refresh_from_db()
    assert mine.state == Assignment.State.LEASED


@pytest.mark.django_db(transaction=True)
def test_the_sweep_passes_over_what_is_being_answered(cast: Cast) -> None:
    """Both the item and the lease: an answer in time locks the lease alone."""
    make_item(cast.project)
    mine = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    with transaction.atomic():
        submit_judgment(assignment=mine, client_key="a", answers=FIRST_BETTER)
        assert at_once(expire_leases) == 0
    mine.refresh_from_db()
    assert mine.state == Assignment.State.DONE


@pytest.mark.django_db(transaction=True)
def test_the_sweep_passes_over_a_locked_item(cast: Cast) -> None:
    item = make_item(cast.project)
    claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    with transaction.atomic():
        lock(item)
        assert at_once(expire_leases) == 0


@pytest.mark.django_db(transaction=True)
def test_two_windows_that_answer_leave_two_revisions(cast: Cast) -> None:
    make_item(cast.project)
    first = claim(cast, cast.bob)
    other = claim(cast, cast.bob)
    waiter = Waiter(
        lambda: submit_judgment(assignment=other, client_key="b", answers=FIRST_BETTER).revision
    )
    with transaction.atomic():
        submit_judgment(assignment=first, client_key="a", answers=FIRST_BETTER)
        waiter.start()
        assert waiter.waiting
    assert waiter.end() == 2
    assert Assignment.objects.get().current == Judgment.objects.get(client_key="b")


@pytest.mark.django_db(transaction=True)
def test_a_double_click_waits_and_gets_the_same_judgment(cast: Cast) -> None:
    make_item(cast.project)
    first = claim(cast, cast.bob)
    other = claim(cast, cast.bob)
    waiter = Waiter(lambda: submit_judgment(assignment=other, client_key="a", answers=FIRST_BETTER))
    with transaction.atomic():
        judgment = submit_judgment(assignment=first, client_key="a", answers=FIRST_BETTER)
        waiter.start()
        assert waiter.waiting
    assert waiter.end() == judgment
    assert Judgment.objects.count() == 1


def test_an_answer_from_a_lease_that_was_lost_takes_no_slot(cast: Cast) -> None:
    """The sender still believes that the lease is live; the slot is somebody else's by now."""
    item = make_item(cast.project, overlap=1)
    late = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_leases() == 1
    submit_judgment(assignment=claim(cast, cast.lena), client_key="lena", answers=FIRST_BETTER)
    assert late.state == Assignment.State.LEASED
    submit_judgment(assignment=late, client_key="bob", answers=FIRST_BETTER)
    states = Assignment.objects.filter(item=item).values_list("annotator__user__username", "state")
    assert dict(states) == {"bob": "surplus", "lena": "done"}


def test_a_slot_too_many_is_refused(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    with pytest.raises(IntegrityError, match="item_never_over_assigned"), transaction.atomic():
        Item.objects.filter(pk=item.pk).update(open_slots=2)


def test_a_revision_counts_once(cast: Cast) -> None:
    make_item(cast.project)
    first = submit_judgment(assignment=claim(cast, cast.bob), client_key="a", answers=FIRST_BETTER)
    first.pk, first.client_key = None, "b"
    with pytest.raises(IntegrityError, match="judgment_revision_unique"), transaction.atomic():
        first.save(force_insert=True)


def test_a_lease_has_an_end(cast: Cast) -> None:
    make_item(cast.project)
    claim(cast, cast.bob)
    with pytest.raises(IntegrityError, match="assignment_leased_has_lease"), transaction.atomic():
        Assignment.objects.update(lease_expires_at=None)
