"""Charts are safe, say what they show, and do not stumble over odd numbers."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from django.template import engines
from hypothesis import given
from hypothesis import strategies as st

from core.plots import (
    Plot,
    Point,
    Row,
    Series,
    Svg,
    interval_chart,
    line_chart,
    scatter_chart,
)
from core.plots.lines import HEIGHT, TABLE_ROWS, WIDTH
from core.plots.scales import Scale, as_floats, format_number, spanning, thinned

TAGS = {"svg", "title", "desc", "g", "text", "line", "path", "circle", "rect"}
ATTRIBUTES = {
    "class", "role", "viewBox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d",
    "width", "height",
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: Svg) -> ET.Element:
    """Parse, and check that nothing is in it but the few tags and attributes of ours."""
    root = ET.fromstring(svg)  # noqa: S314 -- our own output
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in TAGS
        assert set(element.attrib) <= ATTRIBUTES
        assert "nan" not in " ".join(element.attrib.values())
        assert "inf" not in " ".join(element.attrib.values())
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[1].tag == f"{SVG}desc"
    return root


def texts(svg: Svg) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def of_class(svg: Svg, name: str) -> list[ET.Element]:
    return [each for each in parsed(svg).iter() if name in (each.get("class") or "").split()]


def chart(*series: Series, log_y: bool = False) -> Plot:
    return line_chart(series, title="Loss", x_label="step", y_label="nats", log_y=log_y)


def test_a_line_chart_names_its_lines_and_axes() -> None:
    plot = chart(Series("train", [1, 2, 3], [3.0, 2.0, 1.5]), Series("held out", [1, 3], [3.1, 2]))
    assert {"train", "held out", "step", "nats"} <= set(texts(plot.svg))
    assert len(of_class(plot.svg, "line")) == 2
    assert plot.headers == ("step", "train", "held out")
    assert plot.rows == (("1", "3", "3.1"), ("2", "2", "—"), ("3", "1.5", "2"))
    description = parsed(plot.svg)[1].text or ""
    assert "train: from 3 at 1 to 1.5 at 3." in description


def test_a_template_shows_the_drawing_and_escapes_names() -> None:
    plot = chart(Series("<script>alert(1)</script>", [1, 2], [1, 2]))
    shown = engines["django"].from_string("{{ plot.svg }}").render({"plot": plot})
    assert shown.startswith("<svg ")
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_missing_values_break_the_line() -> None:
    plot = chart(Series("a", [1, 2, 3, 4, 5], [1, 2, None, 4, math.nan]))
    assert len(of_class(plot.svg, "line")) == 1
    assert len(of_class(plot.svg, "dot")) == 1
    assert "2 values could not be drawn" in (parsed(plot.svg)[1].text or "")


def test_a_band_is_drawn_behind_the_line() -> None:
    plot = chart(Series("a", [1, 2], [1, 2], low=[0.5, 1], high=[2, 3]))
    (band,) = of_class(plot.svg, "band")
    assert (band.get("d") or "").count("L") == 3


def test_one_point_is_a_dot() -> None:
    plot = chart(Series("a", [7], [2.5]))
    assert len(of_class(plot.svg, "dot")) == 1
    assert plot.rows == (("7", "2.5"),)


@pytest.mark.parametrize("series", [[], [Series("a", [], [])]])
def test_without_numbers_there_are_words_in_the_same_room(series: list[Series]) -> None:
    plot = chart(*series)
    assert texts(plot.svg) == ["No numbers yet."]
    assert parsed(plot.svg).get("viewBox") == f"0 0 {WIDTH:.0f} {HEIGHT:.0f}"


def test_nothing_but_nan_is_said_in_words() -> None:
    plot = chart(Series("a", [1, 2], [math.nan, math.inf]))
    assert texts(plot.svg) == ["Nothing to draw: none of the values is a number."]


def test_a_logarithm_leaves_out_what_is_not_positive() -> None:
    plot = chart(Series("a", [1, 2, 3, 4], [0.001, 0, 1, 1000]), log_y=True)
    assert {"0.001", "1,000"} <= set(texts(plot.svg))
    assert "1 values could not be drawn" in (parsed(plot.svg)[1].text or "")
    plot = chart(Series("a", [1], [-1]), log_y=True)
    assert texts(plot.svg) == ["Nothing to draw: a logarithm needs numbers above 0."]


def test_zero_has_a_line_where_the_axis_crosses_it() -> None:
    assert len(of_class(chart(Series("a", [1, 2], [-1, 1])).svg, "zero")) == 1
    assert not of_class(chart(Series("a", [1, 2], [1, 2])).svg, "zero")


def test_names_do_not_overlap() -> None:
    plot = chart(*(Series(f"s{number}", [1, 2], [1, 2]) for number in range(9)))
    names = [each for each in of_class(plot.svg, "name") if re.match("s[0-9]", each.text or "")]
    places = sorted(float(each.get("y") or 0) for each in names)
    assert len(places) == 9
    assert all(after - before >= 15.9 for before, after in pairwise(places))
    assert places[-1] < HEIGHT


def test_long_series_are_thinned_but_keep_their_spikes() -> None:
    values = [1.0] * 100_000
    values[54_321] = 9.0
    plot = chart(Series("a", list(range(100_000)), values))
    assert len(plot.svg) < 20_000
    assert len(plot.rows) == TABLE_ROWS
    assert "7.5" in texts(plot.svg)
    kept = thinned(as_floats(values), 200)
    assert {0, 54_321, 99_999} <= set(kept.tolist())


def test_unsorted_points_are_drawn_in_order() -> None:
    there = chart(Series("a", [1, 2, 3], [1, 2, 3])).svg
    assert chart(Series("a", [3, 1, 2], [3, 1, 2])).svg == there


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Series("a", [1, 2], [1])


def test_intervals_are_drawn_and_written() -> None:
    plot = interval_chart(
        [Row("people", 0.53, 0.48, 0.59), Row("judge", None, note="Not enough data.")],
        title="Agreement", x_label="share", reference=0.5,
    )  # fmt: skip
    assert {"people", "0.53 (0.48 to 0.59)", "Not enough data."} <= set(texts(plot.svg))
    assert len(of_class(plot.svg, "whisker")) == 3
    assert len(of_class(plot.svg, "reference")) == 1
    assert plot.rows == (("people", "0.53", "0.48", "0.59"), ("judge", "—", "—", "—"))


def test_bars_begin_at_zero() -> None:
    plot = interval_chart(
        [Row("a", 2.0), Row("b", -1.0)], title="Margins", x_label="margin", bars=True
    )
    zero = float(of_class(plot.svg, "zero")[0].get("x1") or 0)
    up, down = of_class(plot.svg, "bar")
    assert float(up.get("x") or 0) == pytest.approx(zero, abs=0.1)
    assert float(down.get("x") or 0) + float(down.get("width") or 0) == pytest.approx(zero, abs=0.2)


@pytest.mark.parametrize(
    ("rows", "words"),
    [([], "No numbers yet."), ([Row("a", None, note="Only 3 prompts.")], "Only 3 prompts.")],
)
def test_no_estimate_at_all_is_said_in_words(rows: list[Row], words: str) -> None:
    assert texts(interval_chart(rows, title="t", x_label="x").svg) == [words]


def test_reliability_has_equal_axes() -> None:
    points = [Point(0.1, 0.2, "low", 0.1, 0.3), Point(0.9, 0.8)]
    plot = scatter_chart(points, title="t", x_label="said", y_label="was", diagonal=True)
    (diagonal,) = of_class(plot.svg, "reference")
    x1, x2, y1, y2 = (float(diagonal.get(name) or 0) for name in ("x1", "x2", "y1", "y2"))
    assert x2 - x1 == pytest.approx(y1 - y2, abs=0.2)
    assert len(of_class(plot.svg, "dot")) == 2
    assert len(of_class(plot.svg, "whisker")) == 1
    assert not of_class(scatter_chart(points, title="t", x_label="x", y_label="y").svg, "reference")


def test_a_scatter_without_points_says_so() -> None:
    plot = scatter_chart([Point(math.nan, 1)], title="t", x_label="x", y_label="y")
    assert texts(plot.svg) == ["No numbers yet."]


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32) | st.none()


@given(st.lists(NUMBERS, max_size=30), st.booleans())
def test_any_numbers_give_a_chart(values: list[float | None], log_y: bool) -> None:
    series = Series("a", list(range(len(values))), values, low=values, high=values)
    rows = interval_chart([Row("a", v, v, v) for v in values], title="t", x_label="x")
    for svg in (chart(series, log_y=log_y).svg, rows.svg):
        parsed(svg)
        assert not re.search(r'="[^"]*\b(nan|inf)\b', svg)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "—"), (math.nan, "—"), (0.0, "0"), (0.5, "0.5"), (1234.5, "1,234"), (1e-5, "1e-5"),
        (2.5e9, "2.5e9"), (-0.125, "\N{MINUS SIGN}0.125"), (0.33333, "0.3333"), (100.0, "100"),
        (120000.0, "120,000"), (3.0, "3"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(value: float | None, written: str) -> None:
    assert format_number(value) == written


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_whole_ticks_are_whole_numbers(low: int, span: int) -> None:
    ticks = Scale(low - span / 20, low + span * 1.05, 0, 400, whole=True).ticks()
    assert ticks
    assert all(tick.is_integer() for tick in ticks)
    assert len(set(ticks)) == len(ticks) <= 12


@pytest.mark.parametrize("value", [0, 7])
def test_a_lone_step_is_the_only_tick(value: int) -> None:
    assert spanning([value], 0, 400, whole=True).ticks() == [value]


def test_nothing_but_zeros_are_drawn_at_the_bottom() -> None:
    scale = spanning([0.0, 0.0], 200, 0)
    assert min(scale.ticks()) == 0.0
    assert scale.at(0.0) > 180


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_lie_inside_and_are_few(low: float, span: float) -> None:
    ticks = Scale(low, low + span, 0, 400).ticks()
    assert 1 <= len(ticks) <= 12
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
