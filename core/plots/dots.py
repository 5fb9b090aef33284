"""Charts of estimates: one row each with its interval, and points against a diagonal."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from core.minus import with_minus
from core.plots.figure import (
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
from core.plots.scales import Scale, format_number, is_drawable, spanning

WIDTH = 480.0
ROW = 28.0
LONGEST_NAME = 24
SQUARE = 340.0


@dataclass(frozen=True)
class Row:
    """An estimate with its interval; `note` says why there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Point:
    """A point of a scatter; low..high is the interval of y."""

    x: float
    y: float
    name: str = ""
    low: float | None = None
    high: float | None = None


def interval_chart(
    rows: Sequence[Row],
    *,
    title: str,
    x_label: str,
    bars: bool = False,
    reference: float | None = None,
    include: Sequence[float] = (),
) -> Plot:
    """Draw one row an estimate: a dot (or a bar from 0) with its interval, and its numbers.

    A row without a value shows its note instead. `reference` draws a line to compare with (0.5
    for a win rate); `include` are values that the axis must hold.
    """
    headers = ("", x_label, "from", "to")
    table = tuple(
        (row.name, format_number(row.value), format_number(row.low), format_number(row.high))
        for row in rows
    )
    held = [value for row in rows for value in (row.value, row.low, row.high)]
    if not any(is_drawable(row.value) for row in rows):
        words = next((row.note for row in rows if row.note), "No numbers yet.")
        return Plot(in_words(words, title=title, width=WIDTH, height=4 * ROW), headers, table)
    names = max(width_of(shortened(row.name, LONGEST_NAME)) for row in rows) + 12
    numbers = max(width_of(_in_numbers(row)) for row in rows if is_drawable(row.value)) + 12
    box = Box(names, 8, WIDTH - numbers, 8 + ROW * len(rows))
    wanted = [*held, *include, 0.0 if bars else None, reference]
    scale = spanning(wanted, box.left, box.right)
    content = [_line(scale, box, reference, "reference"), _line(scale, box, 0.0, "zero")]
    content += [_row(row, number, scale, box, bars) for number, row in enumerate(rows)]
    content.append(horizontal_axis(box, scale, x_label))
    svg = frame(
        "".join(content), title=title, description=_description(rows, x_label),
        width=WIDTH, height=box.bottom + 48,
    )  # fmt: skip
    return Plot(svg, headers, table)


def scatter_chart(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    y_label: str,
    diagonal: bool = False,
) -> Plot:
    """Draw points with intervals; with `diagonal` on equal axes, as for reliability."""
    headers = ("", x_label, y_label, "from", "to")
    table = tuple(
        (each.name, *map(format_number, (each.x, each.y, each.low, each.high))) for each in points
    )
    drawn = [each for each in points if is_drawable(each.x) and is_drawable(each.y)]
    if not drawn:
        words = in_words("No numbers yet.", title=title, width=WIDTH, height=SQUARE)
        return Plot(words, headers, table)
    across = [each.x for each in drawn]
    up = [value for each in drawn for value in (each.y, each.low, each.high)]
    both: list[float | None] = [*across, *up] if diagonal else []
    vertical = spanning([*up, *both], SQUARE - 48, 32)
    left = max(width_of(format_number(tick)) for tick in vertical.ticks()) + 12
    box = Box(left, vertical.end, left + vertical.start - vertical.end, vertical.start)
    horizontal = spanning([*across, *both], box.left, box.right)
    content = [
        label(y_label, 0, 16, class_="name"),
        horizontal_grid(box, vertical),
        horizontal_axis(box, horizontal, x_label),
        _diagonal(horizontal, vertical) if diagonal else "",
        *(_point(each, horizontal, vertical) for each in drawn),
    ]
    svg = frame(
        "".join(content), title=title, width=WIDTH, height=SQUARE,
        description=f"{y_label} against {x_label}, {len(drawn)} points.",
    )  # fmt: skip
    return Plot(svg, headers, table)


def _row(row: Row, number: int, scale: Scale, box: Box, bars: bool) -> str:
    y = box.top + ROW * (number + 0.5)
    name = shortened(row.name, LONGEST_NAME)
    parts = [label(name, box.left - 10, y + 4, class_="name end")]
    if not is_drawable(row.value):
        return parts[0] + label(row.note or "No number.", box.left + 4, y + 4, class_="empty")
    x = scale.at(row.value)
    if bars:
        zero = scale.at(0)
        parts.append(
            element(
                "rect",
                class_=f"bar {colour(0)}",
                x=min(x, zero),
                y=y - 8,
                width=abs(x - zero),
                height=16,
            )
        )
    parts.append(_whisker(row.low, row.high, scale, y))
    if not bars:
        parts.append(element("circle", class_=f"dot {colour(0)}", cx=x, cy=y, r=4.5))
    parts.append(label(_in_numbers(row), box.right + 10, y + 4, class_="tick"))
    full = element("title", escape(f"{row.name}: {_in_numbers(row)}"))
    return element("g", full + "".join(parts))


def _whisker(low: float | None, high: float | None, scale: Scale, y: float) -> str:
    if not is_drawable(low) or not is_drawable(high):
        return ""
    left, right = scale.at(low), scale.at(high)
    ends = "".join(
        element("line", class_="whisker", x1=x, x2=x, y1=y - 4, y2=y + 4) for x in (left, right)
    )
    return element("line", class_="whisker", x1=left, x2=right, y1=y, y2=y) + ends


def _point(point: Point, horizontal: Scale, vertical: Scale) -> str:
    x, y = horizontal.at(point.x), vertical.at(point.y)
    drawn = element("circle", class_=f"dot {colour(0)}", cx=x, cy=y, r=4.5)
    if is_drawable(point.low) and is_drawable(point.high):
        low, high = vertical.at(point.low), vertical.at(point.high)
        drawn = element("line", class_="whisker", x1=x, x2=x, y1=low, y2=high) + drawn
    told = f"{format_number(point.x)}, {format_number(point.y)}"
    words = f"{point.name}: {told}" if point.name else told
    return element("g", element("title", escape(words)) + drawn)


def _line(scale: Scale, box: Box, value: float | None, class_: str) -> str:
    if value is None or not scale.low < value < scale.high:
        return ""
    x = scale.at(value)
    return element("line", class_=class_, x1=x, x2=x, y1=box.top, y2=box.bottom)


def _diagonal(horizontal: Scale, vertical: Scale) -> str:
    low, high = horizontal.low, horizontal.high
    return element(
        "line", class_="reference", x1=horizontal.at(low), y1=vertical.at(low),
        x2=horizontal.at(high), y2=vertical.at(high),
    )  # fmt: skip


def _in_numbers(row: Row) -> str:
    """0.53 (0.48 to 0.59)."""
    if row.low is None or row.high is None:
        return _brief(row.value)
    return f"{_brief(row.value)} ({_brief(row.low)} to {_brief(row.high)})"


def _brief(value: float | None) -> str:
    if value is None or abs(value) >= 100:
        return format_number(value)
    return with_minus(f"{value:.2f}")


def _description(rows: Sequence[Row], x_label: str) -> str:
    told = (f"{row.name}: {_in_numbers(row) if row.value is not None else row.note}"
            for row in rows)  # fmt: skip
    return f"{x_label}. {'; '.join(told)}."
