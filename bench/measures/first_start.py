"""Fresh clone → `make run` → first page, then the second start; installing packages included."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.load.server import ROOT, free_port, wait_until_up

FIRST_SECONDS = 1800.0


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="prefloop start ") as folder:
        clone = Path(folder) / "a clone"
        # Root's database runs as another user, who must be able to enter.
        Path(folder).chmod(0o755)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        first, second = start(clone), start(clone)
        return {"first_page_seconds": first, "second_start_seconds": second}


def start(clone: Path) -> float:
    """Seconds from `make run` until the first page is there; then Ctrl-C."""
    port = free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    began = time.monotonic()
    with (clone / "make-run.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=kept | {"PREFLOOP_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(port, FIRST_SECONDS, path="/")
        return round(time.monotonic() - began, 1)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
