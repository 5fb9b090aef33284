"""Who needs a look, and why: figures of labelers in words.

A labeler needs a look when a whole interval lies beyond a limit, so that neither bad luck nor a
small deviation is held against anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figure = Mapping[str, Any]

LEAST_GOLD = 0.7
LEAST_KAPPA = 0.2
MOST_OF_ONE_SIDE = 0.6
LEAST_SAME_AGAIN = 0.6
MOST_FLIPS = 0.4
MOST_SKIPS = 0.25
MOST_OF_ONE_ANSWER = 0.9
# That much more often than others do the same: what all do is not one labeler's habit.
BEYOND_OTHERS = 0.1
# Of the usual time of a labeler.
LEAST_TIME = 1 / 3
# A run that chance brings about less often than this is no chance.
LEAST_CHANCE = 1e-4
LEAST_RUN = 10

LIMITS = (
    f"right on less than {LEAST_GOLD:.0%} of gold items",
    f"agreement with the others that is less than {LEAST_KAPPA} beyond chance (kappa)",
    f"more than {MOST_OF_ONE_SIDE:.0%} of preferences for one side, and clearly more than the "
    "middle one of all labelers",
    f"the same answer to less than {LEAST_SAME_AGAIN:.0%} of repeated items, or the side kept "
    f"and the response changed in more than {MOST_FLIPS:.0%}",
    "a third of the usual time, or less",
    f"more than {MOST_SKIPS:.0%} of items skipped",
    f"one answer in more than {MOST_OF_ONE_ANSWER:.0%} of cases, when the others give it "
    "clearly less often; or a run of one answer that random order would not bring about in "
    f"{1 / LEAST_CHANCE:,.0f} labelers",
)


@dataclass(frozen=True)
class Concern:
    """`brief` fits a badge, `words` is the whole sentence."""

    key: str
    brief: str
    words: str


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def interval(figure: Figure, form: Any = percent) -> str:
    if figure["low"] is None or figure["high"] is None:
        return ""
    return f"{form(figure['low'])} to {form(figure['high'])}"


def concerns(record: Mapping[str, Any], group: Mapping[str, Any]) -> list[Concern]:
    """What is beyond its limit, the gravest first."""
    figures = record["figures"]
    found = [
        _gold(figures["gold"]),
        _others(figures["kappa"], figures["agreement"]),
        _again(figures["same_again"]),
        _flips(figures["flips"]),
        _side(figures["first_side"], group["first_side"]),
        _speed(figures["seconds"], group["seconds"]),
        _lines(figures["same_answer"]),
        _run(figures["same_answer"]),
        _skips(figures["skips"]),
    ]
    return [concern for concern in found if concern is not None]


def _below(figure: Figure, limit: float) -> bool:
    return figure["high"] is not None and figure["high"] < limit


def _above(figure: Figure, limit: float) -> bool:
    return figure["low"] is not None and figure["low"] > limit


def _gold(figure: Figure) -> Concern | None:
    if not _below(figure, LEAST_GOLD):
        return None
    words = f"Right on {percent(figure['value'])} of gold items ({interval(figure)})."
    return Concern("gold", "gold", words)


def _others(kappa: Figure, share: Figure) -> Concern | None:
    if not _below(kappa, LEAST_KAPPA):
        return None
    words = (
        f"Answers as the others decided in {percent(share['value'])} of cases "
        f"({interval(share)}); chance alone would give {percent(share['chance'])}."
    )
    return Concern("agreement", "agreement", words)


def _again(figure: Figure) -> Concern | None:
    if not _below(figure, LEAST_SAME_AGAIN):
        return None
    words = (
        f"Gives the same answer to {percent(figure['value'])} of items seen again "
        f"({interval(figure)})."
    )
    return Concern("same_again", "consistency", words)


def _flips(figure: Figure) -> Concern | None:
    if not _above(figure, MOST_FLIPS):
        return None
    words = (
        f"When sides are swapped, keeps the side and changes the response in "
        f"{percent(figure['value'])} of cases ({interval(figure)})."
    )
    return Concern("flips", "follows the side", words)


def _side(figure: Figure, middle: float | None) -> Concern | None:
    """Where everybody favours one side the better response is mostly shown there."""
    usual = 0.5 if middle is None else middle
    if _above(figure, max(MOST_OF_ONE_SIDE, usual + BEYOND_OTHERS)):
        which = "first"
    elif _below(figure, min(1 - MOST_OF_ONE_SIDE, usual - BEYOND_OTHERS)):
        which = "last"
    else:
        return None
    words = (
        f"Prefers what is shown first in {percent(figure['value'])} of decided answers "
        f"({interval(figure)}); half would be even, {percent(usual)} is usual here."
    )
    return Concern("first_side", f"{which} side", words)


def _speed(figure: Figure, usual: float | None) -> Concern | None:
    if usual is None or not _below(figure, usual * LEAST_TIME):
        return None
    words = (
        f"Takes {seconds(figure['value'])} an answer ({interval(figure, seconds)}); "
        f"{seconds(usual)} are usual here."
    )
    return Concern("seconds", "speed", words)


def _lines(figure: Figure) -> Concern | None:
    others = figure["others"] or 0.0
    if not _above(figure, max(MOST_OF_ONE_ANSWER, others + BEYOND_OTHERS)):
        return None
    words = (
        f"Gives one answer in {percent(figure['value'])} of cases ({interval(figure)}), "
        f"the others in {percent(figure['others'])}."
    )
    return Concern("same_answer", "one answer", words)


def _run(figure: Figure) -> Concern | None:
    chance = figure["run_chance"]
    if figure["run"] < LEAST_RUN or chance is None or chance >= LEAST_CHANCE:
        return None
    words = f"Gave the same answer {figure['run']} times in a row."
    return Concern("run", "run", words)


def _skips(figure: Figure) -> Concern | None:
    if not _above(figure, MOST_SKIPS):
        return None
    return Concern("skips", "skips", f"Skips {percent(figure['value'])} of items "
                   f"({interval(figure)}).")  # fmt: skip


def verdict(total: int, unknown: int, troubled: Sequence[tuple[str, Sequence[Concern]]]) -> str:
    """The sentence above the table; `troubled`: names with concerns, `unknown`: too few answers."""
    if not total:
        return "Nobody has judged here yet."
    told = total - unknown
    few = f" {_count(unknown)} too few answers to tell." if unknown else ""
    if not told:
        return f"Too few answers to tell how anybody works: {_count(total)} fewer than needed."
    if not troubled:
        return f"Nobody of {told} needs a look.{few}"
    named = [f"{name} ({', '.join(one.brief for one in why)})" for name, why in troubled[:3]]
    more = len(troubled) - len(named)
    listed = "; ".join(named) + (f"; and {more} more" if more else "")
    verb = "needs" if len(troubled) == 1 else "need"
    whom = "labeler" if told == 1 else "labelers"
    return f"{len(troubled)} of {told} {whom} {verb} a look: {listed}.{few}"


def side_words(group: Mapping[str, Any]) -> str:
    """A warning where nearly all favour one side, or nothing."""
    usual = group["first_side"]
    if usual is None or 1 - MOST_OF_ONE_SIDE <= usual <= MOST_OF_ONE_SIDE:
        return ""
    side = "first" if usual > MOST_OF_ONE_SIDE else "last"
    share = max(usual, 1 - usual)
    return (
        f"Half of the labelers prefer what is shown {side} in {percent(share)} of cases or more. "
        "Either sides were not drawn by lot (in imported data, perhaps), or all have this habit."
    )


def _count(number: int) -> str:
    return f"{number} has" if number == 1 else f"{number} have"
