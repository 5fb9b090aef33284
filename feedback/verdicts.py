"""Agreement in words, and the figures behind the words as rows for tables and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.minus import with_minus
from core.plots import Plot, Row, interval_chart

Estimate = Mapping[str, Any]
Figures = Mapping[str, Any]

# Krippendorff's customary bounds are 0.8 (reliable) and 0.667 (tentative conclusions); the two
# lower ones only name what is below them.
LEVELS = (
    (0.8, "strongly"),
    (0.667, "well"),
    (0.4, "moderately"),
    (0.2, "weakly"),
    (-1.0, "hardly more than by chance"),
)
NAMES = {
    "percent_by_unit": "Percent, ties kept",
    "percent_by_unit_no_ties": "Percent, without ties",
    "percent": "Percent, ties kept",
    "percent_no_ties": "Percent, without ties",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_strength": "Krippendorff's alpha, ordinal on strengths",
    "ac1": "Gwet's AC1",
    "cohen_kappa": "Cohen's kappa",
    "kendall_w": "Kendall's W, mean of lists",
    "tau_b": "Kendall's tau-b, mean of lists",
}
# So an item with many answers weighs more than one with two.
POOLED = "all pairs of answers pooled"


@dataclass(frozen=True)
class FigureRow:
    """One estimate as tables and files have it."""

    between: str
    key: str
    estimate: Estimate

    @property
    def name(self) -> str:
        """Each item weighs the same, where nothing else is said."""
        is_pooled = self.estimate["parameters"].get("weighting") == "pairs"
        return f"{NAMES[self.key]}, {POOLED}" if is_pooled else NAMES[self.key]

    @property
    def value(self) -> str:
        return shown(self.key, self.estimate["value"])

    @property
    def interval(self) -> str:
        low, high = self.estimate["low"], self.estimate["high"]
        if low is None or high is None:
            return ""
        return f"{shown(self.key, low)} to {shown(self.key, high)}"

    @property
    def reason(self) -> str:
        return str(self.estimate["reason"])


def shown(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if key.startswith("percent") else signed(f"{value:.3f}")


def signed(number: str) -> str:
    return with_minus(number)


def main_alpha(kind: str) -> str:
    """Answers of pairs and lists have an order: worse, tie, better. Thumbs have two values."""
    return "alpha_nominal" if kind == "thumbs" else "alpha_ordinal"


def level_of(alpha: float) -> str:
    return next(word for bound, word in LEVELS if alpha >= bound)


def levels_of(estimate: Estimate) -> str:
    """The level of the estimate, and what else its interval leaves open."""
    value, low, high = (estimate[part] for part in ("value", "low", "high"))
    word = level_of(value)
    least, most = (level_of(value if bound is None else bound) for bound in (low, high))
    if least == most:
        return word
    return f"{word}, as far as can be told (anything from {least} to {most} fits the answers)"


def people_verdict(figures: Figures) -> str:
    people = figures["people"]
    estimates = people["estimates"]
    alpha = estimates[main_alpha(figures["kind"])]
    if alpha["value"] is None:
        return f"It cannot be said yet how well people agree. {alpha['reason']}"
    percent, about = estimates["percent_by_unit"]["value"], signed(f"{alpha['value']:.2f}")
    what = "order two responses alike" if figures["kind"] == "listwise" else "answer alike"
    return (
        f"People agree {levels_of(alpha)}: two who judge the same item {what} in "
        f"{100 * percent:.0f} % of cases, and alpha is {about}{_between(alpha)}."
    )


def judge_verdict(judge: Figures) -> str:
    mine, theirs = judge["with_people"]["percent"], judge["people_on_same_items"]["percent_by_unit"]
    name = judge["name"]
    if mine["value"] is None:
        return f"It cannot be said yet how well {name} agrees with people. {mine['reason']}"
    told = f"{name} answers as a person does in {100 * mine['value']:.0f} % of cases"
    if theirs["value"] is None:
        return f"{told}. Too few of these items have two people's answers to compare that with."
    people = f"{100 * theirs['value']:.0f} % on the same items"
    return f"{told}, {_compared(mine, theirs['value'])} ({people})."


def _compared(mine: Estimate, theirs: float) -> str:
    low, high = mine["low"], mine["high"]
    if low is not None and low > theirs:
        return "more often than two people agree"
    if high is not None and high < theirs:
        return "less often than two people agree"
    return "about as often as two people agree"


def _between(estimate: Estimate) -> str:
    if estimate["low"] is None:
        return ""
    low, high = (signed(f"{estimate[part]:.2f}") for part in ("low", "high"))
    return f" (95 % interval {low} to {high})"


def figure_rows(figures: Figures) -> Iterator[FigureRow]:
    """People among themselves, then each judge beside the people on the same items."""
    groups = [("People", figures["people"]["estimates"])]
    for judge in figures["judges"]:
        groups.append((f"{judge['name']} and people", judge["with_people"]))
        groups.append((f"People, where {judge['name']} judged", judge["people_on_same_items"]))
    for between, estimates in groups:
        for key in NAMES:
            if key in estimates:
                yield FigureRow(between, key, estimates[key])


def plots(figures: Figures) -> list[Plot]:
    """Percent agreement and alpha: people, and each judge beside them."""
    alpha = main_alpha(figures["kind"])
    return [
        interval_chart(
            _plot_rows(figures, "percent_by_unit", "percent", 100),
            title="How often two answers are the same",
            x_label="Percent, ties kept",
            include=[0, 100],
        ),
        interval_chart(
            _plot_rows(figures, alpha, alpha, 1),
            title="Agreement beyond chance",
            x_label=NAMES[alpha],
            include=[0, 1],
        ),
    ]


def _plot_rows(figures: Figures, key: str, of_judges: str, scale: float) -> list[Row]:
    rows = [_plot_row("People", figures["people"]["estimates"][key], scale)]
    for judge in figures["judges"]:
        rows.append(_plot_row(f"{judge['name']}", judge["with_people"][of_judges], scale))
        people = judge["people_on_same_items"][key]
        rows.append(_plot_row("People, same items", people, scale))
    return rows


def _plot_row(name: str, estimate: Estimate, scale: float) -> Row:
    parts = [estimate[part] for part in ("value", "low", "high")]
    value, low, high = (None if part is None else part * scale for part in parts)
    return Row(name, value, low, high, note="not enough" if value is None else "")
