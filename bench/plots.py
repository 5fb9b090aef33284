"""Small line plots as SVG, for pages that a browser shows in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 320, 160, 44
INK, LINE = "#6b7280", "#2563eb"  # both readable on white and on black


def draw(series: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str]) -> str:
    """A column for each series, a row for each name: its values, step by step."""
    width, height = WIDTH * len(series), HEIGHT * len(names)
    panels = "".join(
        f'<g transform="translate({WIDTH * column} {HEIGHT * row})">'
        + panel(f"{label}: {name}", values[name])
        + "</g>\n"
        for column, (label, values) in enumerate(series.items())
        for row, name in enumerate(names)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" '
        f'fill="{INK}">\n{panels}</svg>\n'
    )


def panel(title: str, values: Sequence[float]) -> str:
    """One curve with its smallest and largest value, from the first step to the last."""
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    across, up = WIDTH - 1.5 * MARGIN, HEIGHT - 1.5 * MARGIN
    points = " ".join(
        f"{MARGIN + across * place / max(len(values) - 1, 1):.1f},"
        f"{HEIGHT - MARGIN / 2 - up * (value - low) / spread:.1f}"
        for place, value in enumerate(values)
    )
    bottom, top = HEIGHT - MARGIN / 2, HEIGHT - MARGIN / 2 - up
    return (
        f'<text x="{MARGIN}" y="20">{escape(title)}, {len(values)} steps</text>'
        f'<text x="{MARGIN - 6}" y="{bottom}" text-anchor="end">{low:.2f}</text>'
        f'<text x="{MARGIN - 6}" y="{top + 8}" text-anchor="end">{high:.2f}</text>'
        f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="2"/>'
    )
