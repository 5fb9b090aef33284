"""The table of labelers: each figure with its interval drawn, in words, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.minus import with_minus
from core.plots import Svg, interval_mark
from feedback.labeler_verdicts import interval, percent, seconds
from feedback.quality_records import NAMES
from feedback.selectors.labelers import Labeler, Labelers

Figure = Mapping[str, Any]
# What the table shows, under these words; the labeler's own page has all.
SHOWN = {
    "gold": "Right on gold",
    "agreement": "Agrees",
    "first_side": "Shown first",
    "same_again": "Same again",
    "seconds": "Seconds",
    "skips": "Skips",
    "ties": "Ties",
}


@dataclass(frozen=True)
class Cell:
    """`interval` and `answers` are words; a figure without a value says what is missing."""

    name: str
    value: str
    interval: str
    answers: int
    mark: Svg | None

    @property
    def has_value(self) -> bool:
        return self.mark is not None


@dataclass(frozen=True)
class LabelerRow:
    labeler: Labeler
    cells: list[Cell]


def shown_of(labelers: Labelers) -> list[str]:
    """The figures that there is any data for."""
    return [key for key in SHOWN if any(one.figures[key]["answers"] for one in labelers.rows)]


def table_rows(labelers: Labelers, rows: list[Labeler]) -> list[LabelerRow]:
    """Of these rows; times are drawn on one axis for all."""
    longest = max((_high(one) for one in labelers.rows), default=1.0) or 1.0
    shown = shown_of(labelers)
    return [LabelerRow(one, [_cell(one, key, longest) for key in shown]) for one in rows]


def _high(labeler: Labeler) -> float:
    return float(labeler.figures["seconds"]["high"] or 0.0)


def _cell(labeler: Labeler, key: str, longest: float) -> Cell:
    figure = labeler.figures[key]
    form = form_of(key)
    mark = None
    if figure["value"] is not None:
        mark = interval_mark(
            figure["value"], figure["low"], figure["high"],
            end=longest if key == "seconds" else 1.0, reference=reference_of(key, figure),
        )  # fmt: skip
    return Cell(NAMES[key], form(figure["value"]), interval(figure, form), figure["answers"], mark)


def form_of(key: str) -> Callable[[float | None], str]:
    """How a figure's numbers are written."""
    if key == "seconds":
        return seconds
    return _plain if key == "kappa" else percent


def _plain(value: float | None) -> str:
    return "–" if value is None else with_minus(f"{value:.2f}")


def reference_of(key: str, figure: Figure) -> float | None:
    """What to compare a figure with: chance, or an even share."""
    if key in ("first_side", "flips"):
        return 0.5
    chance = figure.get("chance")
    return None if chance is None else float(chance)
