"""From numbers to places on a drawing: scales, ticks, thinning, and numbers as words."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Maps low..high to the places start..end; logarithmic if `log` (then low > 0). Of a `whole`
    one only whole numbers are ticks."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (self._bent(each) for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers inside the scale, one to five of them, as there is room."""
        count = max(2, min(5, int(abs(self.end - self.start) / 40)))
        if self.log and self.high / self.low >= 10:
            return self._powers(count)
        step = self._step((self.high - self.low) / count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{number * step:.10g}") for number in range(first, last + 1)]

    def _step(self, rough: float) -> float:
        if self.whole and rough <= 1:
            return 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        steps = [power * each for each in (1, 2, 2.5, 5, 10)]
        fitting = [step for step in steps if not self.whole or step % 1 == 0]
        return next(step for step in fitting if step >= rough * 0.999)

    def _powers(self, count: int) -> list[float]:
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / count))
        return [10.0**power for power in range(first, last + 1, every)]

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value


def spanning(
    values: Iterable[float | None],
    start: float,
    end: float,
    *,
    log: bool = False,
    whole: bool = False,
) -> Scale:
    """A scale that holds all the drawable values, of which there must be one, with some air; a lone
    whole number has no other beside it."""
    held = [value for value in values if is_drawable(value, log=log)]
    low, high = min(held), max(held)
    if log:
        air = (high / low) ** 0.05 if high > low else 2.0
        return Scale(low / air, high * air, start, end, log=True)
    if low == high == 0 and not whole:
        return Scale(-0.05, 1.0, start, end)
    alone = 0.5 if whole else abs(high) * 0.1
    air = (high - low) * 0.05 if high > low else alone
    return Scale(low - air, high + air, start, end, whole=whole)


def is_drawable(value: float | None, *, log: bool = False) -> TypeGuard[float]:
    """Tell whether a value has a place on a scale."""
    return value is not None and math.isfinite(value) and (value > 0 or not log)


def as_floats(values: Sequence[float | None]) -> Floats:
    """Numbers as an array, with NaN for what is missing."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def thinned(values: Floats, buckets: int) -> npt.NDArray[np.int64]:
    """Choose the places to draw of a long series: the least and greatest of each bucket.

    Unlike a mean this keeps every spike. First, last and, in each bucket, missing values (NaN:
    they break the line) are kept too.
    """
    if len(values) <= 2 * buckets:
        return np.arange(len(values))
    chosen = {0, len(values) - 1}
    for places in np.array_split(np.arange(len(values)), buckets):
        missing = np.isnan(values[places])
        chosen.update(places[missing][:1].tolist())
        if not missing.all():
            chosen.add(int(places[np.nanargmin(values[places])]))
            chosen.add(int(places[np.nanargmax(values[places])]))
    return np.array(sorted(chosen))


def format_number(value: float | None) -> str:
    """A number for people: four digits that count, thousands parted, a true minus, — for none."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"\N{MINUS SIGN}{_magnitude(-value)}" if value < 0 else _magnitude(value)


def _magnitude(value: float) -> str:
    if value == 0:
        return "0"
    if value >= 1e7 or value < 1e-4:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{_trimmed(mantissa)}e{int(exponent)}"
    digits = max(0, 3 - math.floor(math.log10(value)))
    return _trimmed(f"{value:,.{digits}f}")


def _trimmed(written: str) -> str:
    return written.rstrip("0").rstrip(".") if "." in written else written
