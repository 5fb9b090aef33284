"""Child processes that are started together, restarted when they die, and stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LARGEST_LOG = 10_000_000
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0  # a child that lived this long starts again at once


@dataclass(frozen=True)
class Program:
    """What to run, and how to ask it to stop."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    stop_signal: signal.Signals
    stop_seconds: float


@dataclass
class Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    deaths: int = 0
    start_at: float | None = None  # when it is dead: the time of its next start

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


class Supervisor:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.children: list[Child] = []

    def start(self, program: Program) -> None:
        _rotate(program.log)
        self.children.append(Child(program, _spawn(program)))

    def dead(self) -> Child | None:
        return next((child for child in self.children if not child.alive), None)

    def revive(self) -> None:
        """Starts dead children again, after a pause that grows while they keep dying."""
        for child in self.children:
            if not child.alive:
                self._revive(child)

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if child.start_at is None:
            lived = now - child.started
            child.deaths = 1 if lived > STEADY_SECONDS else child.deaths + 1
            pause = 0.0 if child.deaths == 1 else min(2.0**child.deaths, LONGEST_PAUSE)
            child.start_at = now + pause
            self.say(
                f"The {child.program.name} ended ({_how(child.process.returncode)}); starting it "
                f"again{f' in {pause:.0f} s' if pause else ''}. Its log: {child.program.log}"
            )
        if now >= child.start_at:
            kill_group(child)  # what it may have left behind
            child.process, child.started = _spawn(child.program), now
            child.start_at = None

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Asks all at once and waits; who is too slow, or all when in a hurry, are killed."""
        asked = time.monotonic()
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(child.program.stop_signal)
        for child in self.children:
            while child.alive and not hurry():
                if time.monotonic() - asked > child.program.stop_seconds:
                    break
                time.sleep(0.05)
            kill_group(child)
            child.process.wait()
        self.children.clear()


def kill_group(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    with program.log.open("ab") as log:
        return subprocess.Popen(
            program.command,
            cwd=program.folder,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches the launcher only, which stops all in order.
            start_new_session=True,
            preexec_fn=_dies_with_us(program.stop_signal),  # noqa: PLW1509 - the launcher has no threads
        )


def _dies_with_us(how: signal.Signals) -> Callable[[], None] | None:
    """On Linux the kernel stops the child when this process is gone, be it by kill -9."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(how))
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return arrange


def _rotate(log: Path) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".old.log"))


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by signal {signal.Signals(-code).name}"
    return f"with code {code}"
