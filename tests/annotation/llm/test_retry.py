"""What is asked again, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from annotation.llm.retry import FIRST_SECONDS, MOST_SECONDS, back_off, may_retry, retry_after

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 529])
def test_what_may_pass_is_asked_again(status: int) -> None:
    assert may_retry(status)


@pytest.mark.parametrize("status", [307, 400, 401, 402, 403, 404, 413, 415, 422, 501])
def test_what_stays_is_not(status: int) -> None:
    assert not may_retry(status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Mon, 23 Nov 2026 06:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 05:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds


def test_the_back_off_doubles_up_to_a_bound_and_has_full_jitter() -> None:
    for tries in (1, 2, 3, 4, 40):
        drawn = [back_off(tries) for _ in range(2_000)]
        most = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (tries - 1))
        assert 0 <= min(drawn) < 0.05 * most
        assert 0.95 * most < max(drawn) <= most
        # Uniform: its mean is half of the bound, here within six standard errors.
        assert abs(sum(drawn) / len(drawn) - most / 2) < 6 * most / (12 * len(drawn)) ** 0.5
