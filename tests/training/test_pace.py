"""The time that a run has left: worked numbers, and a run whose every second is known."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from training.services.pace import Beat, Pace, Rhythm, seconds_left

EVERY_TEN = Rhythm(evaluate_every=10, checkpoint_every=1000)
# Seconds of an evaluation after so many steps.
PAUSES = {10: 30.0, 20: 30.0, 30: 30.0}


def run_of(
    steps: int, *, pauses: Mapping[int, float] = PAUSES, slow: Mapping[int, float] | None = None
) -> list[Beat]:
    """Steps of two seconds, but for slow ones, and what was done between them."""
    beats, clock = [], 100.0
    for step in range(1, steps + 1):
        seconds = (slow or {}).get(step, 2.0)
        clock += pauses.get(step - 1, 0.0) + seconds
        beats.append(Beat(step, clock, seconds))
    return beats


@pytest.mark.parametrize(
    ("since_the_step", "left"),
    [
        # 28 steps of 2 s, and the evaluations after 20 and after 30.
        (0.0, 28 * 2 + 2 * 30),
        (1.5, 28 * 2 + 2 * 30 - 1.5),
        # A step that takes longer than those before holds the clock.
        (9.0, 27 * 2 + 2 * 30),
    ],
)
def test_steps_at_their_median_and_the_pauses_that_are_due(
    since_the_step: float, left: float
) -> None:
    beats = run_of(12)
    assert seconds_left(beats, 40, EVERY_TEN, beats[-1].ended + since_the_step) == left


def test_a_pause_slows_no_step_down() -> None:
    """One of a kind that does not come again adds nothing to what is left."""
    once = Rhythm(evaluate_every=10, checkpoint_every=7)
    beats = run_of(12, pauses={7: 500.0})
    assert seconds_left(beats, 14, once, beats[-1].ended) == 2 * 2
    assert seconds_left(beats, 15, once, beats[-1].ended) == 3 * 2 + 500


def test_a_single_slow_step_moves_nothing() -> None:
    beats = run_of(9, slow={8: 60.0})
    assert seconds_left(beats, 19, EVERY_TEN, beats[-1].ended) == 10 * 2


def test_a_lasting_change_of_pace_is_followed() -> None:
    slower = run_of(60, pauses={}, slow=dict.fromkeys(range(41, 61), 5.0))
    assert seconds_left(slower, 70, EVERY_TEN, slower[-1].ended) == 10 * 5


def test_every_second_of_a_steady_run_is_foretold_after_its_first_pause() -> None:
    beats = run_of(40)
    end = beats[-1].ended
    for done in range(11, 40):
        for now in range(int(beats[done - 1].ended), int(beats[done].ended)):
            told = seconds_left(beats[:done], 40, EVERY_TEN, float(now))
            assert told == pytest.approx(end - now)


def test_pauses_of_both_kinds_are_counted_once() -> None:
    due = Rhythm(evaluate_every=2, checkpoint_every=4).due(5, 12)  # after 6, 8 and 10
    assert due == {(True, False): 2, (False, True): 0, (True, True): 1}


def test_nothing_is_foretold_before_the_first_step() -> None:
    assert seconds_left([], 40, EVERY_TEN, 0.0) is None


def test_what_an_earlier_attempt_did_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    old = [{"step": step, "time": 1000.0 * step, "metrics": {"seconds_per_step": 900.0}}
           for step in (1, 2)]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in old))
    pace = Pace(file, EVERY_TEN)
    assert pace.seconds_left(12) is None
    soon = time.time() + 3600
    new = [{"step": 2, "time": soon, "metrics": {"held_out_loss": 0.6}},
           {"step": 3, "time": soon, "metrics": {"seconds_per_step": 4.0}}]  # fmt: skip
    with file.open("a") as lines:
        lines.writelines(json.dumps(line) + "\n" for line in new)
    assert pace.seconds_left(12) == 9 * 4.0
