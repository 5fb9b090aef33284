"""The steps of `make run`, each told in a line with its seconds."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command, get_commands
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from core import embedded_postgres
from core.launcher import checks
from core.launcher.checks import CannotStart
from core.launcher.processes import Program, Supervisor
from core.postgres_cluster import Cluster

WEB_SECONDS = 60.0
WATCH_SECONDS = 0.5
DATABASE_WATCH_SECONDS = 5.0
SIGN_INS = "demo-passwords.txt"  # written by load_demo, gone with the demo project


class Launcher:
    def __init__(self) -> None:
        self.supervisor = Supervisor(say)
        self.signals = 0
        self.sign_ins: Path = settings.DATA_DIR / SIGN_INS
        self.url = f"http://{_address(settings.HOST)}:{settings.PORT}"

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self.check()
            self.prepare()
            self.start()
            self.greet()
            self.watch()
        except KeyboardInterrupt:
            say("")
        finally:
            self.stop()

    def check(self) -> None:
        checks.refuse_unwritable(settings.DATA_DIR)
        checks.refuse_full_disk(settings.DATA_DIR)
        checks.refuse_taken_port(settings.HOST, settings.PORT)
        checks.refuse_public_demo(settings.PUBLIC_URL, self.sign_ins)

    def prepare(self) -> None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            with step(f"Preparing the database ({len(plan)} migrations)"):
                call_command("migrate", verbosity=0, interactive=False)
        first_time = not (settings.DATA_DIR / "demo-offered").exists()
        if (
            first_time
            and "load_demo" in get_commands()
            and not checks.is_public(settings.PUBLIC_URL)
        ):
            with step("Loading the demo project"):
                call_command("load_demo", verbosity=0)
            (settings.DATA_DIR / "demo-offered").touch()
        connection.close_pool()  # type: ignore[attr-defined]  # no threads and sockets into children

    def start(self) -> None:
        with step("Starting the web server and the workers"):
            for program in programs():
                self.supervisor.start(program)
            self._wait_for_web()

    def greet(self) -> None:
        say(f"\nPrefloop is ready: {self.url}")
        if self.sign_ins.exists():
            say(f"\nSign in to the demo project (from {self.sign_ins}):")
            for line in self.sign_ins.read_text().splitlines():
                say(f"  {line}")
        say(f"\nLogs: {settings.DATA_DIR / 'logs'}. Stop with Ctrl-C.")

    def watch(self) -> None:
        checked = time.monotonic()
        while True:
            time.sleep(WATCH_SECONDS)
            self.supervisor.revive()
            if time.monotonic() - checked > DATABASE_WATCH_SECONDS:
                checked = time.monotonic()
                self._revive_database()

    def stop(self) -> None:
        if self.supervisor.children:
            with step("Stopping"):
                self.supervisor.stop(hurry=lambda: self.signals > 1)

    def _on_signal(self, number: int, frame: object) -> None:
        self.signals += 1
        if self.signals == 1:
            raise KeyboardInterrupt
        say("Stopping at once.")

    def _wait_for_web(self) -> None:
        deadline = time.monotonic() + WEB_SECONDS
        while not _answers(f"{self.url}/healthz"):
            dead = self.supervisor.dead()
            if dead is not None or time.monotonic() > deadline:
                log = dead.program.log if dead else _log("web")
                name = f"The {dead.program.name} ended" if dead else "The web server did not answer"
                raise CannotStart(f"{name} at the start. The end of {log}:\n{_tail(log)}")
            time.sleep(0.05)

    def _revive_database(self) -> None:
        """Only one that is gone is started: a wait for a busy one would keep dead children dead."""
        data_dir: Path = settings.DATA_DIR
        if not _is_embedded(data_dir) or embedded_postgres.is_running(data_dir):
            return
        say("The database does not answer; starting it again if it ended.")
        try:
            embedded_postgres.start(data_dir)
        except embedded_postgres.PostgresError as error:
            say(f"{error} Trying again.")


def programs() -> list[Program]:
    """The web server, and workers for short work and for the GPU."""
    web = ["-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi"]
    return [
        _program("web server", "web", web, signal.SIGTERM, {}),
        _worker("worker", "default,judge", processes=2),
        _worker("gpu worker", "gpu", processes=1),
    ]


def _worker(name: str, queues: str, *, processes: int) -> Program:
    short = name.replace(" ", "-")
    command = [
        *("-m", "celery", "-A", "config", "worker", "-Q", queues, "-c", str(processes)),
        *("-n", f"{short}@%h", "-l", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    # SIGQUIT ends a worker soon, while SIGTERM waits for a task that may take hours.
    more = {"PREFLOOP_DATABASE_POOL": "0", "PREFLOOP_LAUNCHER_PID": str(os.getpid())}
    return _program(name, short, command, signal.SIGQUIT, more)


def _program(
    name: str, short: str, arguments: list[str], stop: signal.Signals, more: dict[str, str]
) -> Program:
    return Program(
        name=name,
        command=[sys.executable, *arguments],
        environment=os.environ | more,
        folder=settings.BASE_DIR,
        log=_log(short),
        stop_signal=stop,
        stop_seconds=12,
    )


def _log(short: str) -> Path:
    path: Path = settings.DATA_DIR / "logs" / f"{short}.log"
    return path


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _is_embedded(data_dir: Path) -> bool:
    cluster = Cluster(data_dir)
    return cluster.exists and cluster.url() == settings.DATABASE_URL


def _address(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except OSError:
        return False


def say(line: str) -> None:
    print(line, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tells what is being done, and in the same line how long it took."""
    print(f"{what} … ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        say("")
        raise
    say(f"{time.monotonic() - started:.1f} s")


__all__ = ["CannotStart", "Launcher"]
