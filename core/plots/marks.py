"""Small drawings that stand in a table's cell beside the number that they draw."""

from core.plots.figure import Svg, element
from core.plots.scales import Scale, is_drawable

WIDTH, HEIGHT, AIR = 96.0, 20.0, 6.0


def interval_mark(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    start: float = 0.0,
    end: float = 1.0,
    reference: float | None = None,
) -> Svg:
    """A dot with its interval on a line from `start` to `end`, and a tick to compare with.

    Hidden from readers of the screen: the number and its interval stand beside it in words.
    What lies beyond the ends is drawn at them.
    """
    scale = Scale(start, end, AIR, WIDTH - AIR)
    middle = HEIGHT / 2
    parts = [
        element("line", class_="rail", x1=AIR, x2=WIDTH - AIR, y1=middle, y2=middle),
    ]
    if is_drawable(reference):
        x = _inside(scale, reference)
        parts.append(element("line", class_="reference", x1=x, x2=x, y1=3, y2=HEIGHT - 3))
    if is_drawable(low) and is_drawable(high):
        left, right = _inside(scale, low), _inside(scale, high)
        parts.append(element("line", class_="whisker", x1=left, x2=right, y1=middle, y2=middle))
    if is_drawable(value):
        x = _inside(scale, value)
        parts.append(element("circle", class_="dot series-1", cx=x, cy=middle, r=4))
    return Svg(
        element(
            "svg", "".join(parts), xmlns="http://www.w3.org/2000/svg", class_="chart mark",
            aria_hidden="true", viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        )
    )  # fmt: skip


def _inside(scale: Scale, value: float) -> float:
    return scale.at(min(max(value, scale.low), scale.high))
