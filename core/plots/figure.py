"""What all charts share: SVG elements, the frame with its title, axes, and the table."""

import html
from dataclasses import dataclass

from core.plots.scales import Scale, format_number

CHARACTER = 6.6  # mean width of a character at the charts' 12 px
LINE = 16
SERIES_COLOURS = 7


class Svg(str):
    """Markup that a template may put into the page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


@dataclass(frozen=True)
class Plot:
    """A chart and the numbers behind it, formatted: `rows` with as many cells as `headers`."""

    svg: Svg
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Box:
    """The area in which data are drawn, in the units of the drawing."""

    left: float
    top: float
    right: float
    bottom: float


def element(tag: str, content: str = "", **attributes: str | float) -> str:
    """Write one element; `content` is markup. `class_` means class, and _ in a name means -."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def label(words: str, x: float, y: float, *, class_: str = "tick") -> str:
    """Write words at a place; their class says how they are aligned and coloured."""
    return element("text", html.escape(words), x=x, y=y, class_=class_)


def frame(content: str, *, title: str, description: str, width: float, height: float) -> Svg:
    """Wrap a drawing into an SVG that names and describes itself."""
    named = element("title", html.escape(title)) + element("desc", html.escape(description))
    return Svg(
        element(
            "svg",
            named + content,
            xmlns="http://www.w3.org/2000/svg",
            class_="chart",
            role="img",
            viewBox=f"0 0 {_value(width)} {_value(height)}",
        )
    )


def in_words(words: str, *, title: str, width: float, height: float) -> Svg:
    """A chart that has nothing to draw says so, in the room that it will need later."""
    content = label(words, width / 2, height / 2, class_="empty middle")
    return frame(content, title=title, description=words, width=width, height=height)


def horizontal_grid(box: Box, scale: Scale) -> str:
    """Grid lines and labels of a vertical scale."""
    parts = []
    for tick in scale.ticks():
        y = scale.at(tick)
        parts.append(element("line", class_="grid", x1=box.left, x2=box.right, y1=y, y2=y))
        parts.append(label(format_number(tick), box.left - 6, y + 4, class_="tick end"))
    return "".join(parts)


def horizontal_axis(box: Box, scale: Scale, name: str) -> str:
    """The line, ticks and name of a horizontal scale."""
    line = element("line", class_="axis", x1=box.left, x2=box.right, y1=box.bottom, y2=box.bottom)
    ticks = "".join(
        element("line", class_="axis", x1=x, x2=x, y1=box.bottom, y2=box.bottom + 4)
        + label(format_number(tick), x, box.bottom + 18, class_="tick middle")
        for tick, x in ((tick, scale.at(tick)) for tick in scale.ticks())
    )
    return line + ticks + label(name, box.right, box.bottom + 36, class_="name end")


def width_of(words: str) -> float:
    """About how wide words are in a chart."""
    return len(words) * CHARACTER


def shortened(words: str, characters: int) -> str:
    """Cut words to a number of characters, showing that they were cut."""
    return words if len(words) <= characters else f"{words[: characters - 1]}…"


def colour(number: int) -> str:
    """The class of the series of this number (from 0); colours repeat after seven."""
    return f"series-{number % SERIES_COLOURS + 1}"


def _value(value: str | float) -> str:
    return html.escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
