"""Fresh clone → `make run` → first page, and the start after that; the web process's memory.

The packages come from the machine's index, so the first figure holds for its network.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
LONGEST_START = 1800.0


def run() -> dict[str, object]:
    folder = Path(tempfile.mkdtemp(prefix="prefloop bench "))  # with spaces, as some paths have
    folder.chmod(0o755)
    try:
        clone = folder / "prefloop"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        first = start_and_stop(clone)
        second = start_and_stop(clone)
    finally:
        # A log may still be written to; what remains is in the temporary folder.
        shutil.rmtree(folder, ignore_errors=True)
    return {"first_start": first, "second_start": second}


def start_and_stop(clone: Path) -> dict[str, object]:
    port = free_port()
    started = time.monotonic()
    with (clone / "run.txt").open("w+") as output:
        make = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=os.environ | {"PREFLOOP_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for_page(f"http://127.0.0.1:{port}/", make)
            seconds = time.monotonic() - started
            figures = {"seconds_to_first_page": round(seconds, 1), **web_processes(make.pid)}
        finally:
            stopped = time.monotonic()
            # As Ctrl-C does: to make and to what it started.
            os.killpg(make.pid, signal.SIGINT)
            make.wait(60)
        said = (clone / "run.txt").read_text().splitlines()
    steps = [line for line in said if line.endswith(" s")]
    return figures | {"seconds_to_stop": round(time.monotonic() - stopped, 1), "steps": steps}


def wait_for_page(url: str, make: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START
    while make.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("make run ended, or showed no page in half an hour")


def web_processes(pid: int) -> dict[str, object]:
    """Resident and own (unshared) memory of each web process, and whether torch is mapped."""
    family = psutil.Process(pid).children(recursive=True)
    web = [process for process in family if "config.gunicorn" in " ".join(process.cmdline())]
    memory = [process.memory_full_info() for process in web]
    mapped = {Path(region.path).name for process in web for region in process.memory_maps()}
    return {
        "web_processes": len(web),
        "resident_mb": [round(info.rss / 1e6) for info in memory],
        "own_mb": [round(info.uss / 1e6) for info in memory],
        "torch_loaded": any("torch" in name for name in mapped),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
