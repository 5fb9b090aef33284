"""A database, a production web server and rows to judge, for measures over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def web() -> Iterator[subprocess.Popen[bytes]]:
    """gunicorn as `make run` starts it."""
    from django.conf import settings

    from core.launcher.launch import programs

    program = next(program for program in programs() if program.name.startswith("web"))
    process = subprocess.Popen(
        program.command,
        env=program.environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_up(settings.PORT)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


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


def kill_one_web_process(master: int) -> int:
    """kill -9 of one process that answers requests; its master starts another."""
    victim = psutil.Process(master).children()[0]
    victim.kill()
    return victim.pid
