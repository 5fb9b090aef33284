"""The arithmetic of token buckets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.llm.buckets import BURST_SECONDS, Bucket


def test_a_bucket_begins_full_and_hands_out_chunks() -> None:
    bucket = Bucket.full(600)
    assert bucket.left == 20
    granted, rest = bucket.take(1)
    assert (granted, rest.left) == (5, 15)


def test_it_fills_at_its_rate_and_no_higher_than_it_is() -> None:
    empty = Bucket(0.0, 10.0)
    assert empty.wait(1) == pytest.approx(0.1)
    assert empty.after(0.1).wait(1) == 0
    assert empty.after(100).left == 20
    assert empty.after(-5).left == 0


def test_what_is_larger_than_the_bucket_goes_when_it_is_full_and_leaves_a_debt() -> None:
    bucket = Bucket.full(600)
    granted, rest = bucket.take(500)
    assert (granted, rest.left) == (500, -480)
    assert rest.wait(1) == pytest.approx(48.1)


def test_without_a_limit_nothing_is_waited_for() -> None:
    bucket = Bucket.full(None)
    assert bucket.wait(1e12) == 0
    assert bucket.take(3)[0] == math.inf
    assert bucket.after(5).left == math.inf


def test_a_slow_limit_lets_single_calls_through() -> None:
    granted, rest = Bucket.full(1).take(1)
    assert granted == 1
    assert rest.wait(1) == pytest.approx(60)


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.5, 50)), min_size=1, max_size=60),
)
def test_no_more_passes_than_rate_times_time_and_one_bucket(
    per_minute: int, asked: list[tuple[float, float]]
) -> None:
    bucket, passed, seconds, largest = Bucket.full(per_minute), 0.0, 0.0, 0.0
    for pause, need in asked:
        bucket, seconds, largest = bucket.after(pause), seconds + pause, max(largest, need)
        if bucket.wait(need) == 0:
            granted, bucket = bucket.take(need)
            assert granted >= need
            passed += granted
    rate = per_minute / 60
    # The last one may be larger than what was there: it goes on credit.
    assert passed <= rate * seconds + max(1.0, rate * BURST_SECONDS) + largest + 1e-6
