"""Small intervals in tables, and histograms: valid SVG that says what it draws."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from core.plots import histogram, interval_mark

SVG = "{http://www.w3.org/2000/svg}"


def circle_of(value: float | None, **kwargs: float) -> float | None:
    root = ET.fromstring(interval_mark(value, None, None, **kwargs))  # noqa: S314 -- our own drawing
    found = root.find(f"{SVG}circle")
    return None if found is None else float(found.attrib["cx"])


def test_a_mark_lies_where_its_value_is() -> None:
    start, middle, end = (circle_of(value) for value in (0.0, 0.5, 1.0))
    assert (start, middle, end) == (6, 48, 90)
    assert circle_of(30.0, start=0.0, end=60.0) == middle


def test_what_lies_beyond_the_ends_is_drawn_at_them() -> None:
    assert circle_of(1.7) == circle_of(1.0)
    assert circle_of(-0.1) == circle_of(0.0)


def test_a_mark_without_a_value_has_no_dot() -> None:
    assert circle_of(None) is None
    root = ET.fromstring(interval_mark(0.5, 0.2, 0.9, reference=0.5))  # noqa: S314 -- our own drawing
    classes = [one.attrib["class"] for one in root]
    assert classes == ["rail", "reference", "whisker", "dot series-1"]
    assert root.attrib["aria-hidden"] == "true"


@pytest.mark.parametrize("values", [[1.0], [5.0] * 30, [0.5, 2, 8, 32, 700], [3.0, -1, 0, 9]])
def test_a_histogram_holds_every_positive_value(values: list[float]) -> None:
    plot = histogram(values, title="Times", x_label="Seconds")
    ET.fromstring(plot.svg)  # noqa: S314 -- our own drawing
    assert len(plot.headers) == len(plot.rows[0])
    assert sum(float(row[1]) for row in plot.rows) == pytest.approx(100, abs=1)


def test_two_groups_are_shares_of_their_own() -> None:
    plot = histogram([1, 2, 3] * 5, [20, 30, 40] * 100, title="Times", x_label="Seconds")
    mine, others = ([float(row[place]) for row in plot.rows] for place in (1, 2))
    assert sum(mine) == pytest.approx(100, abs=1)
    assert sum(others) == pytest.approx(100, abs=1)
    assert 'class="line series-2"' in plot.svg
    # The two do not overlap.
    assert all(min(pair) == 0 for pair in zip(mine, others, strict=True))


def test_a_bar_starts_at_nothing() -> None:
    plot = histogram([1, 10, 100], title="Times", x_label="Seconds")
    bars = re.findall(
        r'class="bar series-1" x="[\d.]+" y="([\d.]+)"[^>]* height="([\d.]+)"', plot.svg
    )
    feet = {round(float(top) + float(height), 0) for top, height in bars}
    assert len(bars) == 3
    assert len(feet) == 1


def test_nothing_to_draw_says_so() -> None:
    plot = histogram([], title="Times", x_label="Seconds")
    assert "No numbers yet." in plot.svg
    assert plot.rows == ()


def test_names_are_escaped() -> None:
    assert "<b>" not in histogram([1.0], title="<b>", x_label="<b>", names=("<b>", "x")).svg
