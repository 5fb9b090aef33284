"""What workers know together: one bucket, one Retry-After, one breaker with one trial."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from annotation.llm import shared_state
from annotation.llm.buckets import BURST_SECONDS
from annotation.llm.shared_state import TRIPS_AT, Taken, close, hold, note_failures, take
from annotation.models import Provider, ProviderState


def make(**fields: Any) -> int:
    given = {"name": "one", "base_url": "https://api.example.org/v1"} | fields
    return int(Provider.objects.create(**given).pk)


def state(provider: int) -> ProviderState:
    return ProviderState.objects.get(pk=provider)


def taken(provider: int, tokens: float = 1.0) -> Taken:
    return take(provider, tokens, trial_seconds=60)


def expire_opening(provider: int) -> None:
    ProviderState.objects.filter(pk=provider).update(open_until=Now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_without_a_limit_a_worker_takes_all_and_locks_nothing() -> None:
    assert taken(make()) == Taken(math.inf, math.inf)


@pytest.mark.django_db
def test_chunks_leave_the_bucket_until_it_is_empty() -> None:
    provider = make(requests_per_minute=600)
    chunks = [taken(provider) for _ in range(4)]
    assert [chunk.requests for chunk in chunks] == pytest.approx([5, 5, 5, 5], abs=0.5)
    # In debt, so that it is empty still when the next statement comes: ten a second flow in.
    ProviderState.objects.filter(pk=provider).update(requests_left=-99, refilled_at=Now())
    empty = taken(provider)
    assert empty.requests == 0
    assert 5 < empty.wait <= 10


@pytest.mark.django_db
def test_a_bucket_fills_with_the_databases_time() -> None:
    provider = make(requests_per_minute=600)
    taken(provider)
    ago = Now() - timedelta(hours=1)
    ProviderState.objects.filter(pk=provider).update(requests_left=-3, refilled_at=ago)
    assert taken(provider).requests == 5
    assert state(provider).requests_left == 15


@pytest.mark.django_db
def test_a_changed_limit_holds_at_once() -> None:
    provider = make()
    taken(provider)
    Provider.objects.filter(pk=provider).update(tokens_per_minute=6_000)
    assert taken(provider, 50).wait >= 0
    assert taken(provider, 50).tokens < math.inf


@pytest.mark.django_db
def test_a_wait_that_was_asked_for_is_never_shortened() -> None:
    provider = make()
    taken(provider)
    hold(provider, 100)
    hold(provider, 1)
    told = taken(provider)
    assert 90 < told.wait <= 100
    assert told.is_asked


@pytest.mark.django_db
def test_the_breaker_opens_once_and_longer_after_each_trial() -> None:
    provider = make()
    taken(provider)
    lengths = []
    note_failures(provider, TRIPS_AT, "500: down", is_trial=False)
    for _ in range(3):
        first = state(provider).open_until
        assert first is not None
        lengths.append((first - timezone.now()).total_seconds())
        # What was out when it opened fails as well, and changes nothing.
        note_failures(provider, TRIPS_AT, "500: down", is_trial=False)
        assert state(provider).open_until == first
        told = taken(provider)
        assert told.wait > 0
        assert told.reason == "500: down"
        ProviderState.objects.filter(pk=provider).update(failures_in_a_row=TRIPS_AT * len(lengths))
        expire_opening(provider)
        assert taken(provider).is_trial
        note_failures(provider, 1, "500: down", is_trial=True)
    assert lengths == pytest.approx([5, 10, 20], abs=2)


@pytest.mark.django_db
def test_one_worker_tries_and_the_others_wait_for_it() -> None:
    provider = make()
    taken(provider)
    note_failures(provider, TRIPS_AT, "500: down", is_trial=False)
    expire_opening(provider)
    first, second = taken(provider), taken(provider)
    assert (first.is_trial, first.requests) == (True, 1)
    assert not second.is_trial
    assert 50 < second.wait <= 60
    close(provider)
    assert taken(provider) == Taken(math.inf, math.inf)
    assert state(provider).failures_in_a_row == 0


@pytest.mark.django_db
def test_a_trial_whose_worker_died_is_another_workers_after_its_time() -> None:
    provider = make()
    taken(provider)
    note_failures(provider, TRIPS_AT, "500: down", is_trial=False)
    expire_opening(provider)
    assert taken(provider).is_trial
    expire_opening(provider)
    assert taken(provider).is_trial


def in_threads(count: int, work: Any) -> list[Any]:
    def run(number: int) -> Any:
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_tries() -> None:
    provider = make()
    taken(provider)
    note_failures(provider, TRIPS_AT, "500: down", is_trial=False)
    expire_opening(provider)
    barrier = threading.Barrier(8)

    def work(_: int) -> bool:
        barrier.wait()
        return taken(provider).is_trial

    assert sum(in_threads(8, work)) == 1


@pytest.mark.django_db(transaction=True)
def test_workers_together_take_no_more_than_there_is() -> None:
    provider = make(requests_per_minute=3_000)
    began = time.monotonic()
    granted = in_threads(6, lambda _: sum(taken(provider).requests for _ in range(30)))
    seconds = time.monotonic() - began
    assert sum(granted) <= 50 * (BURST_SECONDS + seconds) + 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_begin_at_once_have_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, barrier, begin = (
        make(requests_per_minute=60),
        threading.Barrier(4),
        shared_state._begin,
    )

    def together(provider_id: int) -> None:
        barrier.wait()
        begin(provider_id)

    monkeypatch.setattr(shared_state, "_begin", together)
    assert len(in_threads(4, lambda _: taken(provider))) == 4
    assert ProviderState.objects.count() == 1
