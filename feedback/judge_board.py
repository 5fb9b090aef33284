"""The leaderboard of judges: its columns, its cells, its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Judge
from core.plots import Plot, Row, Svg, interval_chart, interval_mark
from feedback.judge_gate import percent
from feedback.judge_words import plot_row, shown, verdict
from feedback.selectors.judges import JudgeRow

# What the table shows, under these words. Smaller is better for those of the second row.
COLUMNS = {
    "judge": "Judge",
    "gate": "Gate",
    "agreement": "Agrees with people",
    "people": "People with each other",
    "flips": "Flips",
    "first": "Picks the first",
    "longer": "Picks the longer",
    "parse_errors": "Unreadable",
    "injection": "Obeys injections",
    "price": "Dollars for 1,000",
    "seconds": "Seconds",
}
DEFAULT_ORDER = "-agreement"


@dataclass(frozen=True)
class Cell:
    """`value` is empty where nothing was measured, and `note` says why."""

    value: str
    interval: str = ""
    note: str = ""
    mark: Svg | None = None


@dataclass(frozen=True)
class BoardRow:
    row: JudgeRow
    verdict: str
    numbers: Mapping[str, float | None]
    cells: list[Cell]

    @property
    def judge(self) -> Judge:
        return self.row.judge


@dataclass(frozen=True)
class Heading:
    """A column; `order` is what a press on it asks for, `direction` how it is sorted now."""

    name: str
    order: str
    direction: str


def headings(order: str) -> list[Heading]:
    key, is_down = order.removeprefix("-"), order.startswith("-")
    return [
        Heading(
            name=words,
            order=column if column == key and is_down else f"-{column}",
            direction="" if column != key else "descending" if is_down else "ascending",
        )
        for column, words in COLUMNS.items()
    ]


def order_of(asked: str | None) -> str:
    """What was asked for if there is such a column."""
    return asked if asked and asked.removeprefix("-") in COLUMNS else DEFAULT_ORDER


def board_rows(rows: Sequence[JudgeRow], order: str) -> list[BoardRow]:
    """Those without a figure come last, whichever way it is sorted."""
    board = [_board_row(row) for row in rows]
    key, sign = order.removeprefix("-"), -1 if order.startswith("-") else 1
    if key == "judge":
        return sorted(board, key=lambda one: str(one.judge).lower(), reverse=sign < 0)
    return sorted(board, key=lambda one: _place(one.numbers.get(key), sign))


def _place(number: float | None, sign: int) -> tuple[bool, float]:
    return (number is None, sign * (number or 0.0))


def _board_row(row: JudgeRow) -> BoardRow:
    figures = figures_of(row)
    numbers = {key: figure["value"] for key, figure in figures.items()}
    numbers["gate"] = float(row.is_open)
    cells = [_cell(key, figures.get(key)) for key in COLUMNS if key not in ("judge", "gate")]
    return BoardRow(row, verdict(row), numbers, cells)


def figures_of(row: JudgeRow) -> dict[str, Mapping[str, Any]]:
    """Of the main kind and criterion, and of the judge as a whole; empty before it is measured."""
    if row.report is None:
        return {}
    section, whole = row.section, row.report.figures
    figures = dict(section["figures"]) if section else {}
    figures |= whole["replies"]
    cost = whole["cost"]
    thousand = None if cost["price"] is None else 1000 * cost["price"]
    figures["price"] = {"value": thousand, "reason": cost["price_reason"]}
    figures["seconds"] = {"value": cost["seconds"], "reason": cost["seconds_reason"]}
    return {key: figure for key, figure in figures.items() if key in COLUMNS}


def _cell(key: str, figure: Mapping[str, Any] | None) -> Cell:
    if figure is None:
        return Cell("", note="Not measured.")
    value = figure["value"]
    if value is None:
        return Cell("", note=figure["reason"])
    if key in ("price", "seconds"):
        return Cell(f"{value:.2f}" if value >= 0.01 or value == 0 else f"{value:.4f}")
    if figure["low"] is None:
        return Cell(percent(value), note=figure["reason"])
    interval = f"{shown(key, figure['low'])} to {shown(key, figure['high'])}"
    reference = 0.5 if key == "first" else None
    mark = interval_mark(value, figure["low"], figure["high"], reference=reference)
    return Cell(percent(value), interval, mark=mark)


def board_plot(rows: Sequence[BoardRow]) -> Plot | None:
    """Each judge's agreement beside people's on the same items; nothing without a judge."""
    drawn: list[Row] = []
    for one in rows:
        figures = figures_of(one.row)
        if "agreement" in figures:
            drawn.append(plot_row(str(one.judge), figures["agreement"]))
            drawn.append(plot_row("People, same items", figures["people"]))
    if not drawn:
        return None
    title = "Agreement with people, beside people's own on the same items"
    return interval_chart(drawn, title=title, x_label="Percent, ties kept", include=[0, 100])
