"""Draws a run's curves, and what its evaluation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.plots import Plot as Drawing
from core.plots import Point, Row, Series, interval_chart, line_chart, scatter_chart
from training.selectors.plot import Plot, Points


def draw(plot: Plot, points: dict[str, Points]) -> Drawing:
    series = [
        Series(words, *plot.columns(points, name))
        for name, words in plot.names.items()
        if name in points
    ]
    return line_chart(
        series, title=plot.title, x_label=plot.x_label, y_label=plot.y_label, include=plot.include
    )


@dataclass(frozen=True)
class Drawn:
    title: str
    about: str
    plot: Drawing


def draw_evaluation(figures: dict[str, Any]) -> list[Drawn]:
    """The evaluation's plots, those that its figures have numbers for."""
    drawn = (_movement(figures), _reliability(figures), *_slices(figures))
    return [one for one in drawn if one is not None]


def _movement(figures: dict[str, Any]) -> Drawn | None:
    found = figures.get("movement") or figures.get("preferences", {}).get("movement", {})
    rows = [
        _row(f"{side.capitalize()} answers", found[side]["difference"])
        for side in ("chosen", "rejected")
        if side in found
    ]
    if not rows:
        return None
    title = "Change of log-probabilities"
    plot = interval_chart(rows, title=title, x_label="nats an answer", reference=0.0)
    return Drawn(title, "Of whole held-out answers: after training less before.", plot)


def _reliability(figures: dict[str, Any]) -> Drawn | None:
    bins = figures.get("calibration", {}).get("bins")
    if not bins:
        return None
    points = [
        Point(
            one["confidence"], one["accuracy"]["value"], f"{one['count']} pairs",
            one["accuracy"]["low"], one["accuracy"]["high"],
        )
        for one in bins
    ]  # fmt: skip
    title = "Reliability"
    plot = scatter_chart(
        points, title=title, x_label="stated confidence", y_label="share right", diagonal=True
    )
    about = "On the line the model is right as often as it says; below it, it is too sure."
    return Drawn(title, about, plot)


def _slices(figures: dict[str, Any]) -> list[Drawn]:
    groups: dict[str, list[Row]] = {}
    for one in figures.get("slices", []):
        groups.setdefault(one["by"], []).append(_row(one["name"], one["accuracy"]))
    return [
        Drawn(
            f"Accuracy by {by}",
            "Where it is good and where it is not; chance is one half.",
            interval_chart(
                rows, title=f"Accuracy by {by}", x_label="share right", reference=0.5,
                include=(0.0, 1.0),
            ),
        )
        for by, rows in groups.items()
    ]  # fmt: skip


def _row(name: str, figure: dict[str, Any]) -> Row:
    return Row(name, figure["value"], figure["low"], figure["high"], "Too little data.")
