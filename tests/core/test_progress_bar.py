from __future__ import annotations

from io import StringIO

import pytest

from core.progress_bar import ProgressBar, clock


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_that_is_redrawn() -> None:
    stream = Terminal()
    with ProgressBar("Importing", stream) as bar:
        for done in (1, 2, 4):
            bar.show(done, 4)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "100%" in text


def test_a_log_gets_few_whole_lines() -> None:
    stream = StringIO()
    with ProgressBar("Importing", stream) as bar:
        for done in range(1, 101):
            bar.show(done, 100, note="rows")
    lines = stream.getvalue().splitlines()
    assert len(lines) <= 2
    assert lines[-1].startswith("Importing ██████████████████████████████ 100%")


def test_nobody_knows_how_long_it_takes_without_a_total() -> None:
    stream = StringIO()
    with ProgressBar("Waiting", stream) as bar:
        bar.show(0, 0)
    assert "time left unknown" in stream.getvalue()


@pytest.mark.parametrize("total", [0, 3])
def test_a_log_is_not_told_over_and_over_that_nothing_goes_on(total: int) -> None:
    stream = StringIO()
    with ProgressBar("Training", stream) as bar:
        for _ in range(50):
            bar.show(total, total, note="waiting for a worker")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (75, "1:15"), (3723, "1:02:03")])
def test_a_clock(seconds: float, words: str) -> None:
    assert clock(seconds) == words
