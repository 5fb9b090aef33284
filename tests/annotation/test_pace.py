from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.pace import Pace, pace_of, time_left


@pytest.mark.parametrize("counts", [[], [50, 60, 70], [1, 2, 3, 4], [0] * 14])
def test_too_little_tells_no_pace(counts: list[int]) -> None:
    assert pace_of(counts, "day") is None


def test_steady_work_has_a_narrow_interval_and_bursts_a_wide_one() -> None:
    steady, bursts = pace_of([100] * 14, "day"), pace_of([0, 700] + [0] * 5 + [700] * 1, "day")
    assert steady is not None
    assert bursts is not None
    assert steady.high / steady.low < 1.2
    assert bursts.high / bursts.low > 3


@given(st.lists(st.integers(0, 10_000), min_size=4, max_size=30).filter(lambda c: sum(c) >= 20))
def test_the_interval_holds_the_mean_and_never_reaches_zero(counts: list[int]) -> None:
    pace = pace_of(counts, "day")
    assert pace is not None
    assert 0 < pace.low < pace.mean < pace.high
    assert math.isclose(pace.mean, sum(counts) / len(counts))


def test_the_interval_covers_the_true_pace_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(400):
        counts = [round(chance.gammavariate(4, 25)) for _ in range(10)]
        pace = pace_of(counts, "day")
        assert pace is not None
        held += pace.low <= 100 <= pace.high
    assert 0.92 <= held / 400 <= 0.99


@pytest.mark.parametrize(
    ("remaining", "pace", "words"),
    [
        (0, None, "Nothing is left to judge."),
        (1, None, "1 judgment left; too little was judged so far to say how long that takes."),
        (
            1000, Pace("day", 14, 100, 80, 125),
            "1,000 judgments left: about 10 days at the pace of the last 14 days, likely 8 to 12.",
        ),
        (
            100, Pace("day", 14, 100, 99, 101),
            "100 judgments left: about 1 day at the pace of the last 14 days.",
        ),
        (
            30, Pace("hour", 5, 60, 50, 72),
            "30 judgments left: less than one working hour at the pace of the last "
            "5 working hours.",
        ),
        (
            10**9, Pace("day", 14, 1, 0.5, 2),
            "1,000,000,000 judgments left: at the present pace it would not end in years.",
        ),
    ],
)  # fmt: skip
def test_time_left_is_one_sentence(remaining: int, pace: Pace | None, words: str) -> None:
    assert time_left(remaining, pace) == words
