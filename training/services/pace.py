"""How long a run still trains, from the times of the steps that it took."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from pathlib import Path
from statistics import median

from training.services.tail import JsonLinesTail

# Steps whose median is the pace, and those among which pauses are looked for.
RECENT = 20
REMEMBERED = 500


@dataclass(frozen=True)
class Beat:
    """A step that is done: its number, when it ended, and the seconds it took by itself."""

    step: int
    ended: float
    seconds: float


@dataclass(frozen=True)
class Rhythm:
    """After how many steps a run pauses, to evaluate and to keep a checkpoint."""

    evaluate_every: int
    checkpoint_every: int

    def pause(self, step: int) -> tuple[bool, bool]:
        """What the run does between so many steps and the next: evaluate, keep a checkpoint."""
        return step % self.evaluate_every == 0, step % self.checkpoint_every == 0

    def due(self, done: int, total: int) -> dict[tuple[bool, bool], int]:
        """How many pauses of each kind still lie between steps, the one after `done` included."""
        both = _multiples(lcm(self.evaluate_every, self.checkpoint_every), done, total)
        return {
            (True, False): _multiples(self.evaluate_every, done, total) - both,
            (False, True): _multiples(self.checkpoint_every, done, total) - both,
            (True, True): both,
        }


def seconds_left(beats: Sequence[Beat], total: int, rhythm: Rhythm, now: float) -> float | None:
    """Seconds until step `total` is done; None before the first step.

    The median of the last steps for each that is missing, and each pause that is due at the median
    length of those of its kind: a pause counts once, it slows no step down. Within a step or a
    pause the time runs on, and stands still when it takes longer than foreseen.
    """
    if not beats:
        return None
    last = beats[-1]
    step = median(beat.seconds for beat in list(beats)[-RECENT:])
    lengths = _pauses(beats, rhythm)
    due = rhythm.due(last.step, total).items()
    left = (total - last.step) * step + sum(n * lengths.get(kind, 0.0) for kind, n in due)
    foreseen = step + lengths.get(rhythm.pause(last.step), 0.0)
    return max(0.0, left - min(max(0.0, now - last.ended), foreseen))


class Pace:
    """Follows the metrics file of a run from now on."""

    def __init__(self, path: Path, rhythm: Rhythm) -> None:
        self.rhythm = rhythm
        self._tail = JsonLinesTail(path)
        self._beats: deque[Beat] = deque(maxlen=REMEMBERED)
        # An earlier attempt ended who knows how long ago.
        self._since = time.time()

    def seconds_left(self, total: int) -> float | None:
        while lines := self._tail.read():
            self._beats.extend(
                Beat(line["step"], line["time"], line["metrics"]["seconds_per_step"])
                for line in lines
                if line["time"] >= self._since and "seconds_per_step" in line["metrics"]
            )
        return seconds_left(self._beats, total, self.rhythm, time.time())


def _pauses(beats: Sequence[Beat], rhythm: Rhythm) -> dict[tuple[bool, bool], float]:
    """Median seconds between a step's end and the next one's beginning, by what was done there."""
    found: defaultdict[tuple[bool, bool], list[float]] = defaultdict(list)
    for before, after in pairwise(beats):
        kind = rhythm.pause(before.step)
        if any(kind):
            found[kind].append(max(0.0, after.ended - after.seconds - before.ended))
    return {kind: median(lengths) for kind, lengths in found.items()}


def _multiples(every: int, first: int, end: int) -> int:
    """Of `every`, from `first` up to but without `end`."""
    return max(0, (end - 1) // every - (first - 1) // every)
