"""Why a choice of items has none left for a judge, and which choices have some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from annotation.models import Judge, JudgeRun, Project
from annotation.selectors.judge_items import JudgeItems, Takes, Tally

# More are counted by a part of them.
COUNTED = 100
MEASURES = (JudgeRun.Purpose.REPEAT, JudgeRun.Purpose.CANARY)


def why_none(project: Project, judge: Judge, selection: Mapping[str, Any], purpose: str) -> str:
    """A sentence, for a selection of which nothing is left."""
    if purpose in MEASURES:
        return (
            "Runs that measure the judge draw from the items that it has judged by the guidelines "
            "in force, and there is none."
        )
    tally = JudgeItems(judge, project, selection).tally()
    return _lost_before(tally, selection) or _lost_by_choice(tally, selection)


def _lost_before(tally: Tally, selection: Mapping[str, Any]) -> str:
    if not tally.items and "items" in selection:
        return "The project has none of the items that are named."
    if not tally.items:
        return "The project has no items yet."
    if not tally.of_its_kind:
        return "No item is of a kind that it can judge."
    if not tally.usable:
        return "Each item of its kind is hidden gold, has equal texts or was withdrawn."
    if not tally.short_enough:
        return "The lists are longer than it is shown."
    return ""


def _lost_by_choice(tally: Tally, selection: Mapping[str, Any]) -> str:
    takes = selection.get("takes", Takes.ALL)
    if not tally.chosen and takes == Takes.UNLABELED:
        return f"People have judged {_all(tally.short_enough)} that it can judge."
    if not tally.chosen and takes == Takes.DISAGREED:
        return f"On {_all(tally.short_enough)} that it can judge people do not disagree."
    if not tally.chosen:
        return "This choice is of no items."
    if selection.get("again"):
        return "Nothing of it failed, could not be read or was judged by older guidelines."
    return f"It was asked about {_all(tally.chosen)} of it before."


def _all(count: int) -> str:
    return "the one item" if count == 1 else f"all {count:,} items"


class Left(NamedTuple):
    takes: str
    label: str
    items: int
    is_exact: bool


# What nobody has judged is what judges are mostly asked for.
CHOICES = (Takes.UNLABELED, Takes.ALL, Takes.DISAGREED)


def choices_left(project: Project, judge: Judge) -> Iterator[Left]:
    """Those of which items are left that it was not asked about."""
    for takes in CHOICES:
        extent = JudgeItems(judge, project, {"takes": takes.value}).extent(COUNTED)
        if extent.count:
            yield Left(takes.value, str(takes.label), extent.count, extent.is_exact)
