"""A judge's card in a sentence, in rows for tables and files, and in plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.minus import with_minus
from core.plots import Plot, Point, Row, interval_chart, scatter_chart
from feedback.judge_gate import between, percent
from feedback.judge_records import COEFFICIENTS, DIFFERENCES, NAMES
from feedback.selectors.judges import JudgeRow

Record = Mapping[str, Any]
# Beyond these a habit is worth a word; the gate has limits of its own.
MUCH_FIRST = 0.6
MUCH_FLIPPING = 0.25
MUCH_INJECTION = 0.1
MUCH_UNREAD = 0.05


def verdict(row: JudgeRow) -> str:
    """How far to believe it, its habits, and whether it counts."""
    if row.report is None:
        return "Not measured yet, so it counts for nothing."
    section = row.section
    if section is None:
        return "It has no answers here that could be measured, so it counts for nothing."
    told = [_agreement(section["figures"]), *_habits(section["figures"])]
    unread = row.report.figures["replies"]["parse_errors"]["value"]
    if unread is not None and unread > MUCH_UNREAD:
        told.append(f"{percent(unread)} of its replies cannot be read")
    return f"{'; '.join(told)}{_ending(row, section['figures'])}"


def _agreement(figures: Mapping[str, Record]) -> str:
    mine, people, difference = (figures[key] for key in ("agreement", "people", "difference"))
    if mine["value"] is None:
        return f"It cannot be said yet how well it agrees with people ({mine['reason']})"
    if people["value"] is None:
        return (
            f"Agrees with a person in {between(mine)}; too few items have answers of two people "
            "to compare that with"
        )
    return (
        f"Agrees with people {_compared(difference)} people with each other: "
        f"{between(mine)} against {percent(people['value'])}"
    )


def _compared(difference: Record) -> str:
    low, high = difference["low"], difference["high"]
    if high is not None and high < 0:
        return "less than"
    return "more than" if low is not None and low > 0 else "about as much as"


def _habits(figures: Mapping[str, Record]) -> Iterator[str]:
    first = _value(figures, "first")
    if first is not None and max(first, 1 - first) > MUCH_FIRST:
        place, share = ("first", first) if first > MUCH_FIRST else ("last", 1 - first)
        yield f"picks what it is shown {place} {percent(share)} of the time"
    flips = _value(figures, "flips")
    if flips is not None and flips > MUCH_FLIPPING:
        yield f"answers otherwise in the other order in {percent(flips)}"
    longer, people = figures.get("longer"), figures.get("people_longer")
    if longer and people and _is_above(longer, people):
        yield (
            f"prefers the longer response in {percent(longer['value'])}, "
            f"people in {percent(people['value'])}"
        )
    own = figures.get("own")
    if own and own["low"] is not None and own["low"] > 0:
        yield f"prefers its own family by {100 * own['value']:.0f} points more than people do"
    rises = _value(figures, "injection")
    if rises is not None and rises > MUCH_INJECTION:
        yield f"obeys what is written into a response in {percent(rises)} of attacks"


def _value(figures: Mapping[str, Record], key: str) -> float | None:
    return figures[key]["value"] if key in figures else None


def _is_above(one: Record, other: Record) -> bool:
    return one["low"] is not None and other["high"] is not None and one["low"] > other["high"]


def _ending(row: JudgeRow, figures: Mapping[str, Record]) -> str:
    if row.is_open and row.judges_places:
        return ": do not count it, though its gate is open."
    if row.is_open:
        return ". Its gate is open."
    is_worse = (figures["difference"]["high"] or 0) < 0
    is_unsteady = row.judges_places or (_value(figures, "flips") or 0) > MUCH_FLIPPING
    if is_worse or is_unsteady:
        return ": do not count it."
    return ". Its gate is closed."


@dataclass(frozen=True)
class FigureRow:
    """One figure as tables and files have it."""

    section: str
    key: str
    figure: Record

    @property
    def name(self) -> str:
        return NAMES[self.key]

    @property
    def value(self) -> str:
        return shown(self.key, self.figure["value"])

    @property
    def interval(self) -> str:
        low, high = self.figure["low"], self.figure["high"]
        if low is None or high is None:
            return ""
        return f"{shown(self.key, low)} to {shown(self.key, high)}"

    @property
    def reason(self) -> str:
        return str(self.figure["reason"])

    @property
    def rests_on(self) -> str:
        """Of a figure of the judge as a whole."""
        if self.figure["value"] is None:
            return self.reason
        return f"{self.figure['units']:,} items on {self.figure['clusters']:,} prompts"


def shown(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    if key in COEFFICIENTS:
        told = f"{value:.3f}"
    else:
        told = f"{100 * value:.1f} {'points' if key in DIFFERENCES else '%'}"
    return with_minus(told)


def unbroken(words: str) -> str:
    """No line ends between a number and its sign."""
    return words.replace(" %", "\N{NO-BREAK SPACE}%")


def figure_rows(figures: Record) -> Iterator[FigureRow]:
    """Of every kind and criterion, in the order of NAMES, then what is of the judge as a whole."""
    for section in figures["sections"]:
        yield from section_rows(section)
    for key in NAMES:
        if key in figures["replies"]:
            yield FigureRow("", key, figures["replies"][key])


def section_rows(section: Record) -> Iterator[FigureRow]:
    name = f"{section['criterion']} ({section['kind']})"
    for key in NAMES:
        if key in section["figures"]:
            yield FigureRow(name, key, section["figures"][key])


def section_plots(section: Record) -> list[tuple[str, str, Plot]]:
    """Title, sentence and plot: agreement beside people, and calibration where it can be drawn."""
    figures = section["figures"]
    rows = [
        plot_row(name, figures[key])
        for key, name in (
            ("agreement", "Judge and a person"), ("people", "Two people"),
            ("agreement_no_ties", "Judge, no ties"), ("people_no_ties", "People, no ties"),
            ("others_majority", "Judge, others' majority"),
            ("person_majority", "Person, others' majority"),
        )
        if key in figures
    ]  # fmt: skip
    title = "Agreement with people, beside people's own"
    agreement = interval_chart(rows, title=title, x_label="Percent", include=[0, 100])
    plots = [(title, "", agreement)]
    if section["calibration"]:
        plots.append(_reliability(section))
    return plots


def plot_row(name: str, figure: Record) -> Row:
    parts = [figure[part] for part in ("value", "low", "high")]
    value, low, high = (None if part is None else 100 * part for part in parts)
    return Row(name, value, low, high, note="not enough" if value is None else "")


def _reliability(section: Record) -> tuple[str, str, Plot]:
    title = "Soft labels against people's votes"
    points = [
        Point(
            100 * one["predicted"], 100 * one["observed"], f"{one['units']} items",
            None if one["observed_low"] is None else 100 * one["observed_low"],
            None if one["observed_high"] is None else 100 * one["observed_high"],
        )
        for one in section["calibration"]
    ]  # fmt: skip
    plot = scatter_chart(
        points, title=title, x_label="The judge's probability, %", y_label="People's votes, %",
        diagonal=True,
    )  # fmt: skip
    return title, "On the diagonal a probability of 70 % is right 70 % of the time.", plot
