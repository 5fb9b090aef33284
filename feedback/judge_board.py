"""The leaderboard of judges: its columns, its cells, its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Judge
from core.plots import Plot, Row, Svg, interval_chart, interval_mark
from feedback.judge_gate import percent
from feedback.judge_words import plot_row, unbroken, verdict
from feedback.selectors.judges import JudgeRow

# What the table shows: a brief word, and what it means.
COLUMNS = {
    "judge": ("Judge", "Name and version"),
    "gate": ("Gate", "Whether its answers may count"),
    "agreement": ("Agrees", "How often it answers as a person drawn at random; ties kept"),
    "people": ("People", "How often two people agree on the same items"),
    "flips": ("Flips", "Answers otherwise in the other order"),
    "first": ("First", "Prefers what is shown first"),
    "longer": ("Longer", "Prefers the longer response"),
    "parse_errors": ("Unread", "Replies that cannot be read"),
    "injection": ("Injected", "An injected response rises"),
    "price": ("$ / 1,000", "Dollars for a thousand judgments"),
    "seconds": ("Seconds", "Seconds a judgment, its calls one after the other"),
}
# Their intervals stand in the table in words, too.
TOLD = ("agreement", "people")
DRAWN = (*TOLD, "flips", "first", "longer")
DEFAULT_ORDER = "-agreement"


@dataclass(frozen=True)
class Cell:
    """`value` is empty where nothing was measured, and `note` says why."""

    value: str
    interval: str = ""
    is_told: bool = False
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
    about: str
    order: str
    direction: str


def headings(order: str) -> list[Heading]:
    """A press asks for the largest first, of names for the first; a second one turns it round."""
    key, is_down = order.removeprefix("-"), order.startswith("-")
    return [
        Heading(
            name=name,
            about=about,
            order=column
            if (column == key and is_down) or _begins_up(column, order)
            else f"-{column}",
            direction="" if column != key else "descending" if is_down else "ascending",
        )
        for column, (name, about) in COLUMNS.items()
    ]


def _begins_up(column: str, order: str) -> bool:
    return column == "judge" and order != "judge"


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
    return BoardRow(row, unbroken(verdict(row)), numbers, cells)


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
    interval = f"{percent(figure['low'])} to {percent(figure['high'])}"
    if key not in DRAWN:
        return Cell(percent(value), interval)
    reference = 0.5 if key == "first" else None
    mark = interval_mark(value, figure["low"], figure["high"], reference=reference)
    return Cell(percent(value), interval, key in TOLD, mark=mark)


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
