from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Assignment, Item
from annotation.selectors.invariants import violations
from annotation.services.claim_item import claim_item, extend_lease
from annotation.services.expire_leases import expire_leases
from annotation.services.item import close_item
from annotation.services.skip_item import skip_item
from tests.cast import Cast, annotator_of, make_item, make_project, make_user
from tests.races import in_threads


def claim(cast: Cast, user) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def test_it_leases_an_item_and_takes_a_slot(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    assignment = claim(cast, cast.bob)
    item.refresh_from_db()
    assert assignment.item == item
    assert assignment.state == Assignment.State.LEASED
    assert assignment.takes_slot
    assert sorted(assignment.shown_order) == [0, 1]
    assert assignment.lease_expires_at is not None
    assert assignment.lease_expires_at > timezone.now() + timedelta(minutes=14)
    assert (item.open_slots, item.started) == (1, True)


def test_asking_again_returns_the_open_item(cast: Cast) -> None:
    for _ in range(5):
        make_item(cast.project)
    first = claim(cast, cast.bob)
    assert claim(cast, cast.bob) == first
    assert Assignment.objects.count() == 1


def test_nothing_to_do_is_none(cast: Cast) -> None:
    make_item(make_project(name="Another"))
    assert claim_item(project=cast.project, user=cast.bob) is None


@pytest.mark.parametrize("field", ["closed_at", "held_at"])
def test_closed_and_held_items_are_not_handed_out(cast: Cast, field: str) -> None:
    make_item(cast.project)
    Item.objects.update(**{field: timezone.now()})
    assert claim_item(project=cast.project, user=cast.bob) is None


def test_an_item_is_not_given_to_more_people_than_its_overlap(cast: Cast) -> None:
    make_item(cast.project, overlap=2)
    claim(cast, cast.bob)
    claim(cast, cast.lena)
    assert claim_item(project=cast.project, user=cast.rita) is None


def test_started_items_come_first(cast: Cast) -> None:
    for _ in range(20):
        make_item(cast.project, overlap=3)
    first = claim(cast, cast.bob)
    # The probe of started items begins at a random place; from the front it finds this one.
    Item.objects.filter(pk=first.item_id).update(rnd=999_999)
    assert claim(cast, cast.lena).item_id == first.item_id


def test_a_higher_priority_comes_first(cast: Cast) -> None:
    for _ in range(10):
        make_item(cast.project)
    urgent = make_item(cast.project, priority=5)
    assert claim(cast, cast.bob).item == urgent


def test_every_item_is_reached_wherever_the_probe_begins(cast: Cast) -> None:
    items = {make_item(cast.project, overlap=1, rnd=number).pk for number in range(30)}
    seen = set()
    while (assignment := claim_item(project=cast.project, user=cast.bob)) is not None:
        seen.add(assignment.item_id)
        skip_item(assignment=assignment)
    assert seen == items


def test_an_expired_lease_is_taken_up_again_in_the_same_order(cast: Cast) -> None:
    make_item(cast.project, kind="listwise")
    before = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_leases() == 1
    after = claim(cast, cast.bob)
    assert after.pk == before.pk
    assert after.state == Assignment.State.LEASED
    assert after.shown_order == before.shown_order


def test_a_lease_that_ran_out_unnoticed_is_still_its_owners(cast: Cast) -> None:
    make_item(cast.project)
    before = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    after = claim(cast, cast.bob)
    assert after == before
    after.refresh_from_db()
    assert after.lease_expires_at is not None
    assert after.lease_expires_at > timezone.now()


def test_the_order_shown_is_random(cast: Cast) -> None:
    for _ in range(40):
        make_item(cast.project, overlap=1)
    orders: Counter[tuple[int, ...]] = Counter()
    while (assignment := claim_item(project=cast.project, user=cast.bob)) is not None:
        orders[tuple(assignment.shown_order)] += 1
        skip_item(assignment=assignment)
    assert orders[0, 1] >= 5
    assert orders[1, 0] >= 5


def test_a_heartbeat_extends_a_live_lease_only(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    assert extend_lease(assignment=assignment)
    skip_item(assignment=assignment)
    assert not extend_lease(assignment=assignment)


@pytest.mark.django_db(transaction=True)
def test_race_of_claimers_for_few_slots(cast: Cast) -> None:
    for _ in range(3):
        make_item(cast.project, overlap=2)
    users = [make_user(f"racer {number}") for number in range(8)]
    results = in_threads(8, lambda number: claim_item(project=cast.project, user=users[number]))
    taken = Assignment.objects.filter(state=Assignment.State.LEASED)
    assert not [result for result in results if isinstance(result, Exception)]
    # Nobody goes away empty while a slot is free, and nobody gets one that is not there.
    assert len([result for result in results if result is not None]) == taken.count() == 6
    for item in Item.objects.all():
        assert taken.filter(item=item).count() == 2
        assert item.open_slots == 0


@pytest.mark.django_db(transaction=True)
def test_race_of_one_person_in_two_windows(cast: Cast) -> None:
    for _ in range(10):
        make_item(cast.project)
    results = in_threads(4, lambda _: claim_item(project=cast.project, user=cast.bob))
    assert len({result.pk for result in results}) == 1
    assert Assignment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_second_window_waits_for_the_first_and_shows_the_same_item(cast: Cast) -> None:
    for _ in range(10):
        make_item(cast.project)
    second: list[Assignment | None] = []

    def claim_again() -> None:
        second.append(claim_item(project=cast.project, user=cast.bob))
        connection.close()

    annotator_of(cast.bob)
    thread = threading.Thread(target=claim_again)
    with transaction.atomic():
        first = claim_item(project=cast.project, user=cast.bob)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join(timeout=60)
    assert second == [first]


@pytest.mark.django_db(transaction=True)
def test_a_locked_item_is_passed_over(cast: Cast) -> None:
    locked, free = make_item(cast.project, rnd=1), make_item(cast.project, rnd=2)
    with transaction.atomic():
        Item.objects.select_for_update(no_key=True).get(pk=locked.pk)
        [assignment] = in_threads(1, lambda _: claim_item(project=cast.project, user=cast.bob))
    assert assignment.item_id == free.pk


@pytest.mark.django_db(transaction=True)
def test_race_for_the_last_slot(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    users = [make_user(f"racer {number}") for number in range(8)]
    results = in_threads(8, lambda number: claim_item(project=cast.project, user=users[number]))
    assert not [result for result in results if isinstance(result, Exception)]
    [taken] = [result for result in results if result is not None]
    assert taken.item_id == item.pk
    assert violations(cast.project) == []


@pytest.mark.django_db(transaction=True)
def test_race_of_claiming_and_closing(cast: Cast) -> None:
    items = [make_item(cast.project, overlap=1) for _ in range(4)]
    users = [make_user(f"racer {number}") for number in range(4)]

    def act(number: int) -> Assignment | Item | None:
        if number >= 4:
            return close_item(item=items[number - 4], actor=cast.mary)
        return claim_item(project=cast.project, user=users[number])

    results = in_threads(8, act)
    assert not [result for result in results if isinstance(result, Exception)]
    assert not Item.objects.filter(is_open=True).exists()
    assert violations(cast.project) == []
    assert claim_item(project=cast.project, user=cast.bob) is None


@pytest.mark.django_db(transaction=True)
def test_an_item_that_is_closed_while_it_is_waited_for_is_not_handed_out(cast: Cast) -> None:
    item = make_item(cast.project)
    second: list[Assignment | None] = []

    def claim_it() -> None:
        second.append(claim_item(project=cast.project, user=cast.bob))
        connection.close()

    thread = threading.Thread(target=claim_it)
    with transaction.atomic():
        close_item(item=item, actor=cast.mary)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join(timeout=60)
    assert second == [None]
