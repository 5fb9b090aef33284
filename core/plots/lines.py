"""Line charts: curves of a training run, figures over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from core.plots.figure import (
    LINE,
    Box,
    Plot,
    colour,
    element,
    frame,
    horizontal_axis,
    horizontal_grid,
    in_words,
    label,
    shortened,
    width_of,
)
from core.plots.scales import (
    Scale,
    as_floats,
    format_number,
    is_drawable,
    spanning,
    thinned,
)

WIDTH, HEIGHT = 480.0, 260.0
BUCKETS = 200
LONGEST_NAME = 22
TABLE_ROWS = 60


@dataclass(frozen=True)
class Series:
    """A named line: y over x, both equally long; None or NaN breaks it. A band is low..high."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        lengths = {len(each) for each in (self.x, self.y, self.low, self.high) if each is not None}
        if len(lengths) > 1:
            raise ValueError(f"The columns of the series {self.name!r} differ in length.")


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_y: bool = False,
    include: Sequence[float] = (),
) -> Plot:
    """Draw series over one pair of axes, each named at its end instead of in a legend.

    `include` are values that the vertical axis must hold (0, or 0 and 1 for a share); a line is
    drawn at 0 where the axis crosses it. Long series are thinned so that spikes stay; what a
    logarithm cannot show is left out, and counted in the description.
    """
    headers, rows = _table(series, x_label)
    drawn = [each for each in map(_thin, series) if each.x]
    svg = _svg(drawn, x_label, y_label, log_y, include) if drawn else None
    if svg is None:
        words = _nothing(log_y) if drawn else "No numbers yet."
        return Plot(in_words(words, title=title, width=WIDTH, height=HEIGHT), headers, rows)
    description = _description(series, x_label, y_label, log_y)
    return Plot(
        frame(svg, title=title, description=description, width=WIDTH, height=HEIGHT), headers, rows
    )


def _svg(
    drawn: Sequence[Series],
    x_label: str,
    y_label: str,
    log_y: bool,
    include: Sequence[float],
) -> str | None:
    """The drawing; None when no value has a place on it."""
    values = [value for each in drawn for column in (each.y, each.low, each.high)
              for value in column or ()]  # fmt: skip
    if not any(is_drawable(value, log=log_y) for value in values):
        return None
    vertical = spanning([*values, *include], HEIGHT - 48, 32, log=log_y)
    ticks = max((width_of(format_number(tick)) for tick in vertical.ticks()), default=0)
    names = max(width_of(shortened(each.name, LONGEST_NAME)) for each in drawn)
    box = Box(ticks + 12, vertical.end, WIDTH - names - 12, vertical.start)
    places = [x for each in drawn for x in each.x]
    counts = all(float(x).is_integer() for x in places)
    horizontal = spanning(places, box.left, box.right, whole=counts)
    return "".join(
        [
            label(y_label, 0, 16, class_="name"),
            horizontal_grid(box, vertical),
            horizontal_axis(box, horizontal, x_label),
            _zero(box, vertical),
            *(_drawn(each, number, horizontal, vertical) for number, each in enumerate(drawn)),
            _names(drawn, horizontal, vertical),
        ]
    )


def _thin(series: Series) -> Series:
    order = np.argsort(np.asarray(series.x, dtype=np.float64), kind="stable")
    y = as_floats(series.y)[order]
    kept = order[thinned(y, BUCKETS)]
    kept = kept[np.isfinite(np.asarray(series.x, dtype=np.float64)[kept])]

    def chosen(column: Sequence[float | None] | None) -> list[float | None] | None:
        return None if column is None else [column[place] for place in kept]

    x = [float(series.x[place]) for place in kept]
    return Series(series.name, x, chosen(series.y) or [], chosen(series.low), chosen(series.high))


def _drawn(series: Series, number: int, horizontal: Scale, vertical: Scale) -> str:
    """One series: its band, its line in unbroken pieces, and a dot for a piece of one point."""
    parts = []
    if series.low is not None and series.high is not None:
        for piece in _pieces(series.x, series.low, series.high, log=vertical.log):
            upper = [(horizontal.at(x), vertical.at(high)) for x, _, high in piece]
            lower = [(horizontal.at(x), vertical.at(low)) for x, low, _ in reversed(piece)]
            parts.append(element("path", class_=f"band {colour(number)}", d=_path(upper + lower)))
    for piece in _pieces(series.x, series.y, log=vertical.log):
        places = [(horizontal.at(x), vertical.at(y)) for x, y in piece]
        if len(places) == 1:
            ((x, y),) = places
            parts.append(element("circle", class_=f"dot {colour(number)}", cx=x, cy=y, r=3.5))
        else:
            parts.append(element("path", class_=f"line {colour(number)}", d=_path(places)))
    return "".join(parts)


def _pieces(
    x: Sequence[float], *columns: Sequence[float | None], log: bool
) -> list[list[tuple[float, ...]]]:
    """Split points (x and one value a column) where a value cannot be drawn."""
    points = list(zip(x, *columns, strict=True))
    runs = groupby(points, lambda point: all(is_drawable(each, log=log) for each in point[1:]))
    return [[tuple(map(float, point)) for point in run] for drawable, run in runs if drawable]


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _zero(box: Box, scale: Scale) -> str:
    if scale.log or not scale.low < 0 < scale.high:
        return ""
    y = scale.at(0)
    return element("line", class_="zero", x1=box.left, x2=box.right, y1=y, y2=y)


def _names(drawn: Sequence[Series], horizontal: Scale, vertical: Scale) -> str:
    """Each series' name beside its last point, moved apart where they would overlap."""
    ends = []
    for number, each in enumerate(drawn):
        pieces = _pieces(each.x, each.y, log=vertical.log)
        if pieces:
            ends.append((vertical.at(pieces[-1][-1][1]), number, each.name))
    ends.sort()
    highest, lowest = vertical.end, vertical.start - LINE * (len(ends) - 1)
    parts = []
    for y, number, name in ends:
        place = max(min(y, lowest), highest)
        highest, lowest = place + LINE, lowest + LINE
        words = shortened(name, LONGEST_NAME)
        parts.append(label(words, horizontal.end + 8, place + 4, class_=f"name {colour(number)}"))
    return "".join(parts)


def _description(series: Sequence[Series], x_label: str, y_label: str, log_y: bool) -> str:
    """The chart in words: where each series begins and ends, and what could not be drawn."""
    sentences = [f"{y_label} by {x_label}{', on a logarithmic scale' if log_y else ''}."]
    for each in series:
        held = [(x, y) for x, y in zip(each.x, each.y, strict=True) if is_drawable(y, log=log_y)]
        if held:
            (first_x, first), (last_x, last) = min(held), max(held)
            sentences.append(
                f"{each.name}: from {format_number(first)} at {format_number(first_x)} "
                f"to {format_number(last)} at {format_number(last_x)}."
            )
        lost = len(each.y) - len(held)
        if lost:
            sentences.append(f"{each.name}: {lost} values could not be drawn.")
    return " ".join(sentences)


def _nothing(log_y: bool) -> str:
    if log_y:
        return "Nothing to draw: a logarithm needs numbers above 0."
    return "Nothing to draw: none of the values is a number."


def _table(
    series: Sequence[Series], x_label: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The numbers by x; of a long chart evenly chosen ones, the first and last among them."""
    columns = [dict(zip(each.x, each.y, strict=True)) for each in series]
    every = sorted({x for column in columns for x in column})
    if len(every) > TABLE_ROWS:
        places = np.linspace(0, len(every) - 1, TABLE_ROWS).round().astype(int)
        every = [every[place] for place in places]
    rows = tuple(
        (format_number(x), *(format_number(column.get(x)) for column in columns)) for x in every
    )
    return (x_label, *(each.name for each in series)), rows
