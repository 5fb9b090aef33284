"""One labeler's work in detail: by kind and criterion, over time, and how long answers took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotation.models import Kind, Project
from core.plots import Plot, Row, Series, histogram, interval_chart, line_chart
from feedback.models import Policy
from feedback.selectors.quality import Loaded, items_judged_by, load_work
from feedback.statistics.arrays import Integers
from feedback.statistics.consensus import agreement
from feedback.statistics.intervals import Figures, medians
from feedback.statistics.labeler_quality import AnswerTable, consensus_of, first_side

# A trend has at most so many points, each of at least so many answers.
POINTS = 12
LEAST_IN_POINT = 20
# The newest items that are looked at: a page waits for them.
MOST_ITEMS = 3000


@dataclass(frozen=True)
class LabelerDetail:
    """Plots; those over time are left out where there are too few answers, or no times."""

    agreement: Plot
    sides: Plot
    times: Plot
    trend: Plot | None
    speed: Plot | None
    # Of so many newest items; 0: of all.
    newest: int = 0


def labeler_detail(
    project: Project, policy: Policy, annotator: int, names: dict[str, str]
) -> LabelerDetail:
    """From this labeler's items alone, with what others answered to them."""
    items = items_judged_by(project, annotator, most=MOST_ITEMS + 1)
    is_cut = len(items) > MOST_ITEMS
    loaded = load_work(project, policy, item_ids=items[:MOST_ITEMS])
    rater = loaded.annotators.index(annotator) if annotator in loaded.annotators else -1
    labels = [
        f"{names.get(criterion, criterion)}, {Kind(kind).label.lower()}"
        for kind, criterion in loaded.strata
    ]
    return LabelerDetail(
        agreement=_agreement(loaded, rater, labels),
        sides=_sides(loaded, rater, labels),
        times=_times(loaded, rater),
        trend=_trend(loaded, rater),
        speed=_speed(loaded, rater),
        newest=MOST_ITEMS if is_cut else 0,
    )


def _agreement(loaded: Loaded, rater: int, labels: Sequence[str]) -> Plot:
    rows = []
    for table, name in zip(loaded.work.answers, labels, strict=True):
        found = agreement(consensus_of([table]), raters=loaded.work.raters)
        rows.append(_row(name, found.share, rater))
        rows.append(Row("by chance", _known(100 * found.chance[rater]), note="not enough"))
    return interval_chart(
        rows, title="Agreement with the others", x_label="Percent", include=[0, 100]
    )


def _sides(loaded: Loaded, rater: int, labels: Sequence[str]) -> Plot:
    rows = [
        _row(name, first_side([table], raters=loaded.work.raters), rater)
        for table, name in zip(loaded.work.answers, labels, strict=True)
        if table.kind != Kind.THUMBS
    ]
    return interval_chart(
        rows, title="Which side is preferred", x_label="Percent that prefer what is shown first",
        include=[0, 100], reference=50,
    )  # fmt: skip


def _row(name: str, figures: Figures, rater: int) -> Row:
    value, low, high = (
        _known(100 * part[rater]) for part in (figures.value, figures.low, figures.high)
    )
    return Row(name, value, low, high, note="too few answers")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _times(loaded: Loaded, rater: int) -> Plot:
    work = loaded.work
    mine = work.timed_rater == rater
    return histogram(
        work.seconds[mine].tolist(), work.seconds[~mine].tolist(),
        title="Seconds an answer", x_label="Seconds",
        names=("this labeler", "others on the same items"),
    )  # fmt: skip


def _trend(loaded: Loaded, rater: int) -> Plot | None:
    """Agreement with the others over a labeler's answers: each stretch as if by another person."""
    own = [table.moment[table.rater == rater] for table in loaded.work.answers]
    starts = _stretches(np.concatenate(own) if own else np.zeros(0, dtype=np.int64))
    if starts is None:
        return None
    tables = [_in_stretches(table, rater, starts) for table in loaded.work.answers]
    found = agreement(consensus_of(tables), raters=len(starts) + 1)
    series = _series("agreement", found.share, len(starts), 100)
    return line_chart(
        [series], title="Agreement over time", x_label="Stretch of answers, in their order",
        y_label="Percent that agree with the others", include=[0, 100],
    )  # fmt: skip


def _speed(loaded: Loaded, rater: int) -> Plot | None:
    mine = loaded.work.timed_rater == rater
    starts = _stretches(loaded.timed_at[mine])
    if starts is None:
        return None
    stretch = np.searchsorted(starts, loaded.timed_at[mine], side="right") - 1
    found = medians(stretch, loaded.work.seconds[mine], raters=len(starts))
    return line_chart(
        [_series("median", found.median, len(starts), 1)], title="Seconds an answer over time",
        x_label="Stretch of answers, in their order", y_label="Seconds, median", include=[0],
    )  # fmt: skip


def _stretches(moments: Integers) -> Integers | None:
    """When each of some equally long stretches begins; None where time tells nothing."""
    count = min(POINTS, len(moments) // LEAST_IN_POINT)
    if count < 2:
        return None
    places = np.arange(count) * len(moments) // count
    starts = np.sort(moments)[places]
    return starts if len(np.unique(starts)) == count else None


def _in_stretches(table: AnswerTable, rater: int, starts: Integers) -> AnswerTable:
    """This labeler's answers by stretch, and everybody else as one more."""
    stretch = np.searchsorted(starts, table.moment, side="right") - 1
    return replace(table, rater=np.where(table.rater == rater, stretch, len(starts)))


def _series(name: str, figures: Figures, points: int, scale: float) -> Series:
    value, low, high = (
        [_known(scale * one) for one in part[:points]]
        for part in (figures.value, figures.low, figures.high)
    )
    return Series(name, list(range(1, points + 1)), value, low, high)
