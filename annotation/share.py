"""A share with its interval (Wilson's, 95 %), for the few that annotation itself computes."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

CRITICAL = 1.959964


@dataclass(frozen=True)
class Share:
    hits: int
    count: int
    low: float
    high: float

    @property
    def percent(self) -> int:
        return round(100 * self.hits / self.count)

    @property
    def interval(self) -> str:
        return f"{round(100 * self.low)} to {round(100 * self.high)} %"


def share_of(hits: int, count: int) -> Share:
    """`count` is at least 1."""
    share, square = hits / count, CRITICAL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = CRITICAL * sqrt(share * (1 - share) / count + square / (4 * count**2))
    half /= 1 + square / count
    return Share(hits, count, max(0.0, middle - half), min(1.0, middle + half))
