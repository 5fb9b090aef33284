"""Draws a run's curves."""

from __future__ import annotations

from core.plots import Plot as Drawing
from core.plots import Series, line_chart
from training.selectors.run import Plot, Points


def draw(plot: Plot, points: dict[str, Points]) -> Drawing:
    series = [
        Series(words, [step for step, _ in points[name]], [value for _, value in points[name]])
        for name, words in plot.names.items()
        if name in points
    ]
    return line_chart(
        series, title=plot.title, x_label="step", y_label=plot.y_label, include=plot.include
    )
