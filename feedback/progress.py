"""Whoever follows long work: a job's context, or a command's progress bar."""

from __future__ import annotations

from typing import Protocol

from core.progress_bar import ProgressBar


class ShowsProgress(Protocol):
    def progress(self, *, done: float, total: float, message: str = "") -> None: ...


class OnTerminal:
    """Passes progress on to a bar."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar

    def progress(self, *, done: float, total: float, message: str = "") -> None:
        self.bar.show(int(done), int(total), message)
