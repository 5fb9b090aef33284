"""The arithmetic of token buckets; where they are kept is shared_state's matter.

A bucket holds up to BURST_SECONDS' worth and fills at its rate. A worker takes up to CHUNK_SECONDS'
worth at once, so that most calls cost no query. What is larger than the bucket goes when the bucket
is full, and leaves it in debt. In any minute at most rate · (60 + BURST_SECONDS) passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BURST_SECONDS = 2.0
CHUNK_SECONDS = 0.5


@dataclass(frozen=True)
class Bucket:
    """`rate` is in units a second; infinite: without a limit."""

    left: float
    rate: float

    @classmethod
    def full(cls, per_minute: int | None) -> Bucket:
        rate = math.inf if per_minute is None else per_minute / 60
        return cls(_capacity(rate), rate)

    def after(self, seconds: float) -> Bucket:
        """Filled up for this long."""
        if math.isinf(self.rate):
            return Bucket(math.inf, self.rate)
        filled = self.left + max(0.0, seconds) * self.rate
        return Bucket(min(_capacity(self.rate), filled), self.rate)

    def wait(self, need: float) -> float:
        """Seconds until `need` may go; 0: now."""
        if math.isinf(self.rate):
            return 0.0
        missing = min(need, _capacity(self.rate)) - self.left
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, need: float) -> tuple[float, Bucket]:
        """`need`, or a chunk where more is there; call it when nothing is to be waited for."""
        if math.isinf(self.rate):
            return math.inf, self
        granted = max(need, min(self.left, self.rate * CHUNK_SECONDS))
        return granted, Bucket(self.left - granted, self.rate)


def _capacity(rate: float) -> float:
    return max(1.0, rate * BURST_SECONDS)
