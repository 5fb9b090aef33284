"""The page of results says what the files beside it hold, and so do the tables of other pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.__main__ import RESULTS
from bench.plots import draw
from bench.report import CURVES, PAGES, curves, page, with_figures


def test_the_page_is_made_from_the_newest_files() -> None:
    assert (RESULTS / "README.md").read_text() == page()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_tables_of_a_page_are_made_from_the_newest_files(path: Path) -> None:
    assert path.read_text() == with_figures(path.read_text())


def test_the_curves_are_drawn_from_the_newest_file() -> None:
    assert (CURVES.read_text() if CURVES.exists() else None) == curves()


def test_a_plot_goes_from_the_smallest_value_at_the_bottom_to_the_largest_at_the_top() -> None:
    drawn = draw({"one": {"a": [1.0, 3.0, 2.0]}, "two": {"a": [5.0]}}, ["a"])
    lines = re.findall(r'points="([^"]+)"', drawn)
    across, down = zip(*(map(float, point.split(",")) for point in lines[0].split()), strict=True)
    assert list(across) == sorted(across)
    assert down[0] > down[2] > down[1]
    assert len(lines) == 2
