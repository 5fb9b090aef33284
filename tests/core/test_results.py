"""The page of results says what the files beside it hold, and so do the queue's tables."""

from __future__ import annotations

from bench.__main__ import RESULTS
from bench.report import QUEUE, page, with_figures


def test_the_page_is_made_from_the_newest_files() -> None:
    assert (RESULTS / "README.md").read_text() == page()


def test_the_tables_of_the_queue_are_made_from_the_newest_files() -> None:
    assert QUEUE.read_text() == with_figures(QUEUE.read_text())
