"""The page of results says what the files beside it hold."""

from __future__ import annotations

from bench.__main__ import RESULTS
from bench.report import page


def test_the_page_is_made_from_the_newest_files() -> None:
    assert (RESULTS / "README.md").read_text() == page()
