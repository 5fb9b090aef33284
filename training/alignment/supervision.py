"""A training process and the worker that started it: one does not outlive the other."""

import ctypes
import fcntl
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, TypeVar

T = TypeVar("T")
STOPPED_EXIT_CODE = 143
_PR_SET_PDEATHSIG = 1


class CutShort(BaseException):  # no error: nothing that handles errors may take it
    """A stop request came in the middle of work that is begun anew at the next start."""


class StopRequest:
    """SIGTERM or SIGINT, heard at once or, while steps are taken, when the loop looks.

    The loop has something to keep: it looks at `is_set` and leaves a checkpoint. Before and after
    it there is nothing to keep.
    """

    _cuts = False

    def __init__(self) -> None:
        self.is_set = False
        self.waits_for_loop = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT. A second signal of the kind ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._received)

    def cut_short(self, work: Callable[[], T]) -> T | None:
        """Do work that changes nothing; None when a stop request came before or in its middle."""
        if self.is_set:
            return None
        try:
            self._cuts = True
            try:
                return work()
            finally:
                self._cuts = False
        except CutShort:
            # The signal may have come before the flag was taken back.
            self._cuts = False
            return None

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.is_set = True
        signal.signal(number, signal.SIG_DFL)
        if self._cuts:
            raise CutShort
        if not self.waits_for_loop:
            raise SystemExit(STOPPED_EXIT_CODE)


def die_with_parent() -> None:
    """End this process when its parent ends, even by kill -9.

    On Linux the kernel does it. Everywhere, standard input is watched: when the parent holds a
    pipe to it and dies, the pipe closes.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_die_at_end_of_input, daemon=True).start()


def lock_folder(folder: Path, *, patience: float = 10.0) -> IO[str] | None:
    """Hold the folder for this process while the file that comes back is open; None when taken.

    A process that is being killed may hold it a moment longer, so this waits `patience` seconds.
    """
    file = (folder / ".lock").open("w")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
        time.sleep(0.1)


def _die_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
