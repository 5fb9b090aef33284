from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from annotation.models import Assignment, Item
from annotation.services.claim_item import claim_item
from annotation.services.expire_leases import expire_leases
from core.jobs import sweep
from tests.cast import Cast, make_item
from tests.races import in_threads


def leave(cast: Cast, *users) -> None:
    for user in users:
        claim_item(project=cast.project, user=user)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_it_gives_slots_back(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    leave(cast, cast.bob, cast.lena)
    assert expire_leases() == 2
    item.refresh_from_db()
    assert item.open_slots == 2
    assert set(Assignment.objects.values_list("state", flat=True)) == {"expired"}


def test_live_leases_stay(cast: Cast) -> None:
    make_item(cast.project)
    claim_item(project=cast.project, user=cast.bob)
    assert expire_leases() == 0


def test_again_there_is_nothing_to_do(cast: Cast) -> None:
    make_item(cast.project)
    leave(cast, cast.bob)
    assert [expire_leases(), expire_leases()] == [1, 0]


def test_the_sweep_does_it(cast: Cast) -> None:
    make_item(cast.project)
    leave(cast, cast.bob)
    assert sweep()
    assert Assignment.objects.get().state == Assignment.State.EXPIRED


@pytest.mark.django_db(transaction=True)
def test_race_of_sweepers(cast: Cast) -> None:
    items = [make_item(cast.project, overlap=1) for _ in range(3)]
    leave(cast, cast.bob, cast.lena, cast.rita)
    results = in_threads(4, lambda _: expire_leases())
    while expire_leases():
        pass
    assert not [result for result in results if isinstance(result, Exception)]
    assert {item.open_slots for item in Item.objects.all()} == {1}
    assert len(items) == 3


@pytest.mark.django_db(transaction=True)
def test_an_item_in_somebodys_hands_is_left_for_the_next_sweep(cast: Cast) -> None:
    item = make_item(cast.project)
    leave(cast, cast.bob)
    with transaction.atomic():
        Item.objects.select_for_update(no_key=True).get(pk=item.pk)
        assert in_threads(1, lambda _: expire_leases()) == [0]
    assert expire_leases() == 1
