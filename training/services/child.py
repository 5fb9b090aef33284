"""Runs the training library in a child process that a worker supervises.

The child has a process group of its own and an environment without secrets. It dies with its
worker: the library asks the system for that, and reads the end of its standard input as the same
message. The worker survives the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from django.conf import settings

from core.errors import PrefloopError
from core.jobs import Cancelled

POLL_SECONDS = 0.5
GRACE_SECONDS = 30

# All that a child gets to know of its worker's environment.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "PREFLOOP_VERIFIERS",
)

Process = subprocess.Popen[bytes]


class ChildKilled(Exception):
    """The child was killed from outside; what it had saved lets the next attempt go on."""


def clean_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # Bars that redraw themselves would fill the log.
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "TQDM_DISABLE": "1"}


@contextlib.contextmanager
def running(
    module: str, arguments: list[str], *, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[Process]:
    """The child, started in `folder`; it is dead when the block is left, however that happens."""
    folder.mkdir(parents=True, exist_ok=True)
    _end_stale(folder)
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=settings.BASE_DIR,
            env=clean_environment() | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _remember(process, folder)
        yield process
    finally:
        _kill(process)


def wait_for(process: Process, watch: Callable[[], None]) -> int:
    """Calls `watch` until the child has ended, and once after; returns the exit status.

    A cancellation that `watch` raises gives the child time to save its state.
    """
    try:
        while process.poll() is None:
            watch()
            time.sleep(POLL_SECONDS)
        watch()
    except Cancelled:
        _stop_gently(process)
        raise
    return process.returncode


def raise_failure(returncode: int, *, folder: Path, oom_kills_before: int) -> None:
    """Says why the child failed. Only a child that was killed from outside is tried again."""
    if returncode < 0 or returncode == 128 + signal.SIGTERM:
        if oom_kills() > oom_kills_before:
            raise PrefloopError(
                "The machine ran out of memory. Launch a new run with a smaller batch size, "
                "shorter texts (max_length) or a LoRA adapter."
            )
        raise ChildKilled(f"exit status {returncode}")
    raise PrefloopError(
        _reason(folder) or f"The process stopped with exit status {returncode}; see its log."
    )


def oom_kills() -> int:
    """How many processes of this container the system has killed for want of memory."""
    with contextlib.suppress(OSError):
        for line in Path("/sys/fs/cgroup/memory.events").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def peak_memory(process: Process) -> int:
    """The most memory that the child has held at once so far, in bytes; 0 when it has ended, and
    where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0


def log_tail(folder: Path, *, lines: int = 200) -> str:
    with contextlib.suppress(OSError), (folder / "log.txt").open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 4000 - 200 * lines))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def _reason(folder: Path) -> str:
    """In the child's words: training leaves a file, sampling a last line in its log."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / "output" / "error.json").read_text())["reason"])
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(log_tail(folder, lines=1))["error"])
    return ""


def _stop_gently(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)


def _kill(process: Process) -> None:
    """The whole group, for the child may have children of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _remember(process: Process, folder: Path) -> None:
    started = psutil.Process(process.pid).create_time()
    (folder / "child.json").write_text(json.dumps({"pid": process.pid, "started": started}))


def _end_stale(folder: Path) -> None:
    """Ends the child of a worker that lost its lease while it stood still."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        stale = json.loads((folder / "child.json").read_text())
        process = psutil.Process(stale["pid"])
        if process.create_time() == stale["started"]:
            os.killpg(stale["pid"], signal.SIGKILL)
            process.wait(GRACE_SECONDS)
