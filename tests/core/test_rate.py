"""The plain limit on guessing by one address."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.test import RequestFactory

from core.rate import TooOften, note_miss


def test_it_lets_some_misses_pass_and_no_more() -> None:
    cache.clear()
    request = RequestFactory().get("/")
    for _ in range(3):
        note_miss(request, "guess", most=3)
    with pytest.raises(TooOften, match="Try again in 10 minutes"):
        note_miss(request, "guess", most=3)
    note_miss(request, "other", most=3)


def test_a_count_that_runs_out_while_it_is_read_begins_anew(monkeypatch) -> None:
    cache.clear()
    request = RequestFactory().get("/")

    def gone(*args: object, **kwargs: object) -> int:
        raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr(LocMemCache, "incr", gone)
        for _ in range(5):
            note_miss(request, "guess", most=3)
    note_miss(request, "guess", most=3)
    note_miss(request, "guess", most=3)
    with pytest.raises(TooOften):
        note_miss(request, "guess", most=3)
