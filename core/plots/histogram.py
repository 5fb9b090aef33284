"""How one set of values is spread, beside another to compare with."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.plots.figure import (
    Box,
    Plot,
    colour,
    element,
    frame,
    horizontal_axis,
    horizontal_grid,
    in_words,
    label,
    width_of,
)
from core.plots.scales import Scale, format_number, is_drawable, spanning

WIDTH, HEIGHT = 480.0, 240.0
BINS = 20
Shares = npt.NDArray[np.float64]


def histogram(
    values: Sequence[float],
    others: Sequence[float] = (),
    *,
    title: str,
    x_label: str,
    names: tuple[str, str] = ("these", "the others"),
) -> Plot:
    """Bars: the percentage of `values` in each bin; a line over them: that of `others`.

    Bins are equally wide in logarithms, for times and lengths are skewed; what is not positive
    is left out.
    """
    headers = (x_label, f"{names[0]}, %", f"{names[1]}, %")
    own = [value for value in values if is_drawable(value, log=True)]
    rest = [value for value in others if is_drawable(value, log=True)]
    if not own:
        words = in_words("No numbers yet.", title=title, width=WIDTH, height=HEIGHT)
        return Plot(words, headers, ())
    edges = _edges([*own, *rest])
    bars, line = _percentages(own, edges), _percentages(rest, edges)
    rows = tuple(
        (f"{format_number(low)} to {format_number(high)}", f"{bar:.1f}", f"{one:.1f}")
        for (low, high), bar, one in zip(pairwise(edges), bars, line, strict=True)
    )
    content = _drawing(edges, bars, line if rest else None, x_label, names)
    middle = format_number(float(np.median(own)))
    svg = frame(
        content, title=title, width=WIDTH, height=HEIGHT,
        description=f"{x_label} of {len(own)} values, half of them below {middle}.",
    )  # fmt: skip
    return Plot(svg, headers, rows)


def _edges(values: Sequence[float]) -> list[float]:
    """Outer edges leave out the most extreme hundredth at either end, which is put at the end."""
    low, high = np.quantile(values, [0.01, 0.99])
    if high <= low * 1.01:
        low, high = low / 2, high * 2
    return [float(edge) for edge in np.geomspace(low, high, BINS + 1)]


def _percentages(values: Sequence[float], edges: Sequence[float]) -> Shares:
    if not values:
        return np.zeros(len(edges) - 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return 100 * counts.astype(np.float64) / len(values)


def _drawing(
    edges: Sequence[float],
    bars: Shares,
    line: Shares | None,
    x_label: str,
    names: tuple[str, str],
) -> str:
    top = float(max(bars.max(), line.max() if line is not None else 0.0))
    vertical = spanning([0.0, top], HEIGHT - 48, 32)
    vertical = Scale(0.0, vertical.high, vertical.start, vertical.end)
    left = max(width_of(format_number(tick)) for tick in vertical.ticks()) + 12
    box = Box(left, vertical.end, WIDTH - 8, vertical.start)
    across = Scale(edges[0], edges[-1], box.left, box.right, log=True)
    return "".join([
        label(f"% of answers: {names[0]} in bars" + (f", {names[1]} as a line" if line is not None
              else ""), 0, 16, class_="name"),
        horizontal_grid(box, vertical),
        *_bars(edges, bars, across, vertical),
        "" if line is None else _steps(edges, line, across, vertical),
        horizontal_axis(box, _readable(across), x_label),
    ])  # fmt: skip


def _bars(edges: Sequence[float], bars: Shares, across: Scale, vertical: Scale) -> list[str]:
    zero = vertical.at(0)
    return [
        element(
            "rect", class_=f"bar {colour(0)}", x=across.at(low) + 0.5,
            y=vertical.at(bar), width=max(across.at(high) - across.at(low) - 1, 0.5),
            height=zero - vertical.at(bar),
        )
        for (low, high), bar in zip(pairwise(edges), bars, strict=True)
        if bar > 0
    ]  # fmt: skip


def _steps(edges: Sequence[float], line: Shares, across: Scale, vertical: Scale) -> str:
    places = [(across.at(low), across.at(high)) for low, high in pairwise(edges)]
    path = "M" + "L".join(
        f"{left:.1f},{vertical.at(one):.1f}L{right:.1f},{vertical.at(one):.1f}"
        for (left, right), one in zip(places, line, strict=True)
    )
    return element("path", d=path, class_=f"line {colour(1)}")


class _Rounded(Scale):
    """A logarithmic scale with ticks at 1, 2 and 5 of each power of ten."""

    def ticks(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        held = [tick for tick in ticks if self.low <= tick <= self.high]
        return held[:: max(1, math.ceil(len(held) / 8))]


def _readable(scale: Scale) -> Scale:
    return _Rounded(scale.low, scale.high, scale.start, scale.end, log=True)
