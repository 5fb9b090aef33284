"""Leases held ready beside the one that is shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item
from annotation.services.claim_item import claim_item, extend_lease, open_assignment
from annotation.services.expire_leases import expire_leases
from annotation.services.submit_judgment import submit_judgment
from tests.cast import Cast, make_item
from tests.races import in_threads

State = Assignment.State
FIRST_BETTER = {"overall": AnswerValue(strength=2)}


def claim(cast: Cast, *beside: Assignment) -> Assignment:
    assignment = claim_item(project=cast.project, user=cast.bob, beside=[one.pk for one in beside])
    assert assignment is not None
    return assignment


def seconds_left(assignment: Assignment) -> float:
    assignment.refresh_from_db()
    assert assignment.lease_expires_at is not None
    return (assignment.lease_expires_at - timezone.now()).total_seconds()


def run_out(*assignments: Assignment) -> None:
    Assignment.objects.filter(pk__in=[one.pk for one in assignments]).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    expire_leases()


@pytest.fixture
def items(cast: Cast) -> list[Item]:
    return [make_item(cast.project, overlap=1) for _ in range(5)]


def test_the_one_beside_is_held_ready_for_a_short_time(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    ready = claim(cast, shown)
    assert ready.item_id != shown.item_id
    assert (shown.opened_at is None, ready.opened_at) == (False, None)
    assert 800 < seconds_left(shown) <= 900
    assert 100 < seconds_left(ready) <= 120


def test_a_short_lease_of_the_project_holds_for_ready_ones_too(
    cast: Cast, items: list[Item]
) -> None:
    cast.project.lease_seconds = 30
    assert seconds_left(claim(cast, claim(cast))) <= 30


def test_asking_again_beside_gives_the_same(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    assert claim(cast, shown) == claim(cast, shown)
    assert claim(cast) == shown
    assert Assignment.objects.count() == 2


def test_nobody_holds_more_than_two(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    ready = claim(cast, shown)
    beside = [shown.pk, ready.pk]
    assert claim_item(project=cast.project, user=cast.bob, beside=beside) is None


def test_what_is_shown_after_a_reload_is_open(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    ready = claim(cast, shown)
    submit_judgment(assignment=shown, client_key="a", answers=FIRST_BETTER)
    again = claim(cast)
    assert again == ready
    assert again.opened_at is not None
    assert seconds_left(again) > 800


def test_opening_gives_the_full_lease_once(cast: Cast, items: list[Item]) -> None:
    ready = claim(cast, claim(cast))
    opened_at = open_assignment(assignment=ready).opened_at
    assert opened_at is not None
    assert seconds_left(ready) > 800
    assert open_assignment(assignment=ready).opened_at == opened_at


def test_a_heartbeat_keeps_a_ready_one_for_a_short_time_only(cast: Cast, items: list[Item]) -> None:
    ready = claim(cast, claim(cast))
    Assignment.objects.filter(pk=ready.pk).update(lease_expires_at=timezone.now())
    assert extend_lease(assignment=ready)
    assert 100 < seconds_left(ready) <= 120


def test_one_that_ran_out_is_taken_up_again_when_opened(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    ready = claim(cast, shown)
    run_out(ready)
    assert open_assignment(assignment=ready).state == State.LEASED
    assert Item.objects.get(pk=ready.item_id).open_slots == 0


def test_one_that_others_took_meanwhile_stays_run_out(cast: Cast, items: list[Item]) -> None:
    Item.objects.exclude(pk__in=[items[0].pk, items[1].pk]).update(closed_at=timezone.now())
    ready = claim(cast, claim(cast))
    run_out(ready)
    taken = claim_item(project=cast.project, user=cast.lena)
    assert taken is not None
    assert taken.item_id == ready.item_id
    assert open_assignment(assignment=ready).state == State.EXPIRED
    submit_judgment(assignment=ready, client_key="late", answers=FIRST_BETTER)
    assert ready.state == State.SURPLUS


def test_opening_an_answered_one_changes_nothing(cast: Cast, items: list[Item]) -> None:
    shown = claim(cast)
    submit_judgment(assignment=shown, client_key="a", answers=FIRST_BETTER)
    assert open_assignment(assignment=shown).state == State.DONE


@pytest.mark.django_db(transaction=True)
def test_race_of_windows_that_ask_beside(cast: Cast) -> None:
    for _ in range(10):
        make_item(cast.project)
    shown = claim(cast)
    results = in_threads(
        4, lambda _: claim_item(project=cast.project, user=cast.bob, beside=[shown.pk])
    )
    assert len({result.pk for result in results}) == 1
    assert Assignment.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_race_of_first_claims_by_a_person_not_seen_before(cast: Cast) -> None:
    for _ in range(10):
        make_item(cast.project)
    results = in_threads(4, lambda _: claim_item(project=cast.project, user=cast.lena))
    assert len({result.pk for result in results}) == 1
