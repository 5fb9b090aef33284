"""A database, a production web server and a sweeper, for measures and proofs over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core.embedded_postgres import start, stop

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def database() -> Iterator[Path]:
    """A durable server of its own in a temporary data directory, migrated; Django set up on it."""
    with tempfile.TemporaryDirectory(prefix="prefloop-bench-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        os.environ["PREFLOOP_DATA_DIR"] = str(data)
        os.environ["DATABASE_URL"] = start(data).url
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        os.environ["PREFLOOP_PORT"] = str(free_port())
        try:
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            yield data
        finally:
            stop(data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A process and its children, started again when killed, as its supervisor does."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        self._signal_all(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        finally:
            self._signal_all(signal.SIGKILL)
            self.process.wait()

    def kill_master(self) -> None:
        """kill -9 of the first process; what it leaves behind goes as with `make run`."""
        self.process.kill()
        self.process.wait()
        self._signal_all(signal.SIGKILL)

    def kill_a_child(self) -> None:
        """kill -9 of one process that answers requests; its master starts another."""
        psutil.Process(self.process.pid).children()[0].kill()

    def cpu_seconds(self) -> float:
        """Of the process, its children, and those that have ended."""
        return cpu_seconds(psutil.Process(self.process.pid))

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def cpu_seconds(process: psutil.Process) -> float:
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def postgres_process(data: Path) -> psutil.Process:
    """The postmaster, by its own pid file."""
    pid = (data / "postgres").resolve() / "postmaster.pid"
    return psutil.Process(int(pid.read_text().split()[0]))


def port() -> int:
    return int(os.environ["PREFLOOP_PORT"])


@contextmanager
def web() -> Iterator[Service]:
    """gunicorn as `make run` starts it."""
    from django.conf import settings

    from core.launcher.launch import programs

    program = next(program for program in programs() if program.name.startswith("web"))
    server = Service(program.command, program.environment, settings.DATA_DIR / "web.log")
    server.start()
    try:
        wait_until_up(settings.PORT)
        yield server
    finally:
        server.stop()


@contextmanager
def sweeper(data: Path, seconds: int = 1) -> Iterator[Service]:
    """The sweep that every worker runs beside its tasks."""
    environment = {"PREFLOOP_DATABASE_POOL": "0", "PREFLOOP_SWEEP_SECONDS": str(seconds)}
    command = [sys.executable, "-m", "bench.load.sweeper"]
    service = Service(command, os.environ | environment, data / "sweeper.log")
    service.start()
    try:
        yield service
    finally:
        service.stop()


def wait_until_up(port: int, seconds: float = 60, path: str = "/healthz") -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
