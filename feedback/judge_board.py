"""The leaderboard of judges: its columns, its cells, its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.models import Judge
from core.minus import with_minus
from core.plots import Plot, Row, Svg, interval_chart, interval_mark
from feedback.judge_gate import percent
from feedback.judge_records import COEFFICIENTS, DIFFERENCES, NO_ORDER
from feedback.judge_words import plot_row, unbroken, verdict
from feedback.selectors.judges import JudgeRow

# What the first table shows: a brief word, and what it means.
MAIN = {
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
}
# And the second.
MORE = {
    "agreement_no_ties": ("No ties", "How often it agrees with a person, both preferring a side"),
    "people_no_ties": ("People, no ties", "How often two people agree, both preferring a side"),
    "kappa": ("Kappa", "Cohen's kappa with the people's majority"),
    "same_again": ("Again the same", "The same answer when it is asked again"),
    "own": ("Own family", "Prefers its own family's responses more than people do, in points"),
    "ece": ("Calibration", "Expected calibration error of its soft labels: 0 is best"),
    "failures": ("Failed", "Items whose calls fail"),
    "seconds": ("Seconds", "Seconds of calls a judgment, with their waits at the endpoint"),
}
COLUMNS = MAIN | MORE
TABLES = {
    "Agreement, habits and cost": tuple(MAIN),
    "More figures": ("judge", *MORE),
}
# Their intervals stand in the table in words, too.
TOLD = ("agreement", "people", *MORE)
DRAWN = ("agreement", "people", "flips", "first", "longer")
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
    cells: Mapping[str, Cell]

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


@dataclass(frozen=True)
class Table:
    """Some of the columns; `rows` are judges with their cells, each under its column's name."""

    title: str
    headings: list[Heading]
    rows: list[tuple[BoardRow, list[tuple[str, Cell]]]]

    @property
    def is_first(self) -> bool:
        return self.title == next(iter(TABLES))


def tables(rows: Sequence[BoardRow], order: str) -> list[Table]:
    """Two of them: one with every column is wider than a page."""
    return [
        Table(
            title,
            headings(order, columns),
            [
                (row, [(COLUMNS[key][0], row.cells[key]) for key in columns if key in row.cells])
                for row in rows
            ],
        )
        for title, columns in TABLES.items()
    ]


def headings(order: str, columns: Sequence[str]) -> list[Heading]:
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
        for column in columns
        for name, about in [COLUMNS[column]]
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
    cells = {key: _cell(key, figures.get(key)) for key in COLUMNS if key not in ("judge", "gate")}
    return BoardRow(row, unbroken(verdict(row)), numbers, cells)


def figures_of(row: JudgeRow) -> dict[str, Mapping[str, Any]]:
    """Of the main kind and criterion, and of the judge as a whole; empty before it is measured."""
    if row.report is None:
        return {}
    section, whole = row.section, row.report.figures
    figures = dict(section["figures"]) if section else {}
    if section and "flips" not in figures:
        figures |= {key: {"value": None, "reason": NO_ORDER} for key in ("flips", "first")}
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
    told = _number(key, value)
    if figure["low"] is None:
        return Cell(told, note=figure["reason"])
    interval = f"{_number(key, figure['low'])} to {_number(key, figure['high'])}"
    if key not in DRAWN:
        return Cell(told, interval, key in TOLD)
    reference = 0.5 if key == "first" else None
    mark = interval_mark(value, figure["low"], figure["high"], reference=reference)
    return Cell(told, interval, key in TOLD, mark=mark)


def _number(key: str, value: float) -> str:
    """Kappa as it is, differences in points, shares in percent."""
    if key in COEFFICIENTS:
        told = f"{value:.2f}"
    else:
        told = f"{100 * value:.0f}" if key in DIFFERENCES else percent(value)
    return with_minus(told)


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
