"""How fast a queue is worked off, and when it will be empty, with the uncertainty of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

FEWEST_PERIODS = 4
FEWEST_JUDGMENTS = 20
LONGEST = 5000  # periods; beyond it a number would only look exact


@dataclass(frozen=True)
class Pace:
    """Judgments a period (a day or an hour), with a 95 % interval."""

    period: str
    periods: int
    mean: float
    low: float
    high: float


def pace_of(counts: Sequence[int], period: str) -> Pace | None:
    """None where there are too few periods or judgments to tell.

    People come and go, so counts vary more than chance alone would have them: the interval uses
    the variance that is seen, at least that of a Poisson. It is built on the logarithm, so that
    it never reaches zero.
    """
    total = sum(counts)
    if len(counts) < FEWEST_PERIODS or total < FEWEST_JUDGMENTS:
        return None
    mean = fmean(counts)
    error = math.sqrt(max(variance(counts), mean) / len(counts)) / mean
    spread = math.exp(_student(len(counts) - 1) * error)
    return Pace(period, len(counts), mean, mean / spread, mean * spread)


def _student(degrees: int) -> float:
    """The 97.5 % point of Student's t (Cornish and Fisher's expansion, within 0.12 from 3 on)."""
    return 1.96 + 2.37 / degrees + 2.82 / degrees**2


def time_left(remaining: int, pace: Pace | None) -> str:
    """One sentence."""
    if remaining == 0:
        return "Nothing is left to judge."
    asked = f"{remaining:,} judgment{'' if remaining == 1 else 's'} left"
    if pace is None:
        return f"{asked}; too little was judged so far to say how long that takes."
    middle, soonest, latest = (remaining / one for one in (pace.mean, pace.high, pace.low))
    if middle > LONGEST:
        return f"{asked}: at the present pace it would not end in years."
    unit = "working hour" if pace.period == "hour" else pace.period
    long = f"less than one {unit}" if middle < 1 else f"about {_counted(middle, unit)}"
    ends = [_number(soonest), _number(min(latest, LONGEST))]
    likely = f", likely {ends[0]} to {ends[1]}" if ends[0] != ends[1] and latest >= 1 else ""
    return f"{asked}: {long} at the pace of the last {_counted(pace.periods, unit)}{likely}."


def _counted(number: float, unit: str) -> str:
    return f"{_number(number)} {unit}{'' if _number(number) == '1' else 's'}"


def _number(periods: float) -> str:
    """Two digits that count."""
    return f"{round(periods) if periods < 100 else round(periods, -1):,.0f}"
