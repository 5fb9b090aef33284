"""A progress bar for commands: on stderr, with the time left; plain lines when nobody watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

WIDTH = 30


class ProgressBar:
    """`with ProgressBar("Importing") as bar: bar.show(done, total)`; total 0 means unknown."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.began = time.monotonic()
        self.drawn = 0.0
        self.ended: tuple[float, str] | None = None
        self.line = ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live and self.line:
            self.stream.write("\n")

    def show(self, done: float, total: float, note: str = "") -> None:
        """Drawn ten times a second on a terminal, each five seconds into a file, and at an end."""
        now = time.monotonic()
        ended = (total, note) if total and done >= total else None
        is_news = ended is not None and ended != self.ended
        if self.line and now - self.drawn < (0.1 if self.live else 5.0) and not is_news:
            return
        self.drawn, self.ended = now, ended
        self.line = self._line(done, total, now - self.began, note)
        self.stream.write(f"\r\x1b[2K{self.line}" if self.live else f"{self.line}\n")
        self.stream.flush()

    def _line(self, done: float, total: float, seconds: float, note: str) -> str:
        share = min(1.0, done / total) if total else 0.0
        filled = round(share * WIDTH)
        left = f"{clock(seconds / share * (1 - share))} left" if share else "time left unknown"
        bar = "█" * filled + "░" * (WIDTH - filled)
        words = [f"{self.label} {bar} {share:4.0%}", clock(seconds), left, note]
        return "  ".join(word for word in words if word)


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
