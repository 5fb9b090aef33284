"""Kills web processes and PostgreSQL in the middle of the work, and starts them again.

What it starts again a supervisor starts: nothing is mended by hand, and the time from then until
a page with rows of the database is served is what it measures.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.load.client import Client
from bench.load.server import Service, port, postgres_process
from core import embedded_postgres

LONGEST_RETURN = 60.0


@dataclass
class Nemesis:
    data: Path
    server: Service
    probe: Client  # of somebody who is signed in
    path: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def blows(self) -> dict[str, Callable[[], None]]:
        return {
            "web worker, kill -9": self.server.kill_a_child,
            "web master, kill -9": self._web_master,
            "PostgreSQL, kill -9": lambda: self._postgres(signal.SIGKILL),
            "PostgreSQL, immediate stop": lambda: self._postgres(signal.SIGQUIT),
            "database session, kill -9": self._database_session,
        }

    def strike(self, name: str) -> float:
        """Seconds until a page is served again, from when a supervisor has done its part."""
        self.blows[name]()
        began = time.monotonic()
        while not self._serves():
            if time.monotonic() - began > LONGEST_RETURN:
                raise AssertionError(f"No page {LONGEST_RETURN:.0f} s after: {name}")
            time.sleep(0.05)
        self.seconds.setdefault(name, []).append(time.monotonic() - began)
        return self.seconds[name][-1]

    def _serves(self) -> bool:
        self.probe.close()
        try:
            return self.probe.get(self.path).status == 200
        except OSError:
            return False

    def _web_master(self) -> None:
        self.server.kill_master()
        self.server.start()

    def _postgres(self, how: signal.Signals) -> None:
        victim = postgres_process(self.data)
        victim.send_signal(how)
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        embedded_postgres.start(self.data)

    def _database_session(self) -> None:
        """The postmaster takes that for a crash: it ends every session and recovers by itself."""
        sessions = [
            process
            for process in postgres_process(self.data).children()
            if "prefloop prefloop" in " ".join(process.cmdline())
        ]
        if sessions:
            sessions[0].kill()


def returns(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"times": len(each), "longest_s_until_a_page": round(max(each), 2)}
        for name, each in sorted(seconds.items())
    }


def probe_client(session: str) -> Client:
    return Client(port(), session)
