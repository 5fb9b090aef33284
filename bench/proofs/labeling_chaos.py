"""50 labelers over HTTP on a durable PostgreSQL while web processes and the database are killed.

They leave items open, come late, click twice, use two windows and send again after a broken
connection; each keeps a log of its own. Then the queue is drained, and a checker that shares no
code with the product compares the logs with the tables. `python -m bench.proofs.labeling_chaos`
runs the small version that `make test` uses.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.load.checker import STUCK, check
from bench.load.labeling import say
from bench.load.nemesis import Nemesis, probe_client, returns
from bench.load.server import ROOT, database, port, sweeper, web
from bench.load.work import hide_gold, make_work

OVERLAP = 3
PROCESSES = 5
BLOWS = (
    "web worker, kill -9",
    "PostgreSQL, kill -9",
    "web master, kill -9",
    "PostgreSQL, immediate stop",
    "database session, kill -9",
)
GOLD_SHARE, PROBE_SHARE = 5, 5
SHARES = {"abandoned": 0.05, "late": 0.01, "double_clicked": 0.04, "two_windows": 0.03}
# Nothing more is answered for so long although something is open: stuck.
PATIENCE = 30.0
LONGEST = 900.0


@dataclass
class Plan:
    labelers: int = 50
    items: int = 1200
    gold: int = 30
    # Short, but longer than the slowest reply: else every answer comes late.
    lease_seconds: int = 12
    blows: Sequence[str] = BLOWS * 4
    processes: int = PROCESSES
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))


SMALL = Plan(
    labelers=6,
    items=44,
    gold=4,
    lease_seconds=4,
    blows=BLOWS[:3],
    processes=2,
    shares={"abandoned": 0.06, "late": 0.04, "double_clicked": 0.15, "two_windows": 0.1},
)


def run(plan: Plan | None = None, *, spoil: str = "") -> dict[str, Any]:
    """`spoil` is SQL that takes a guard away, to see that the checker notices."""
    plan = plan or Plan()
    with database() as data:
        kinds = ("pairwise", "listwise", "thumbs")
        project, sessions = make_work(
            plan.labelers + 1,
            plan.items,
            overlap=OVERLAP,
            kinds=kinds,
            lease_seconds=plan.lease_seconds,
        )
        hide_gold(project, plan.gold, gold_share=GOLD_SHARE, probe_share=PROBE_SHARE)
        spoil_with(spoil)
        say(f"{plan.items} items with overlap {OVERLAP}, {plan.labelers} labelers")
        with web() as server, sweeper(data):
            probe = probe_client(sessions.pop())
            nemesis = Nemesis(data, server, probe, f"/projects/{project}/")
            seconds = Drain(data, project, plan, nemesis).run(sessions)
        checked = check(os.environ["DATABASE_URL"], project, data / "labelers")
        refuse_violations(project)
    return {
        "labelers": plan.labelers,
        "items": plan.items,
        "of_which_gold": plan.gold,
        "overlap": OVERLAP,
        "shares": plan.shares,
        "seconds": round(seconds, 1),
        "killed": returns(nemesis.seconds),
    } | checked


def spoil_with(sql: str) -> None:
    if sql:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute(sql.encode())


def refuse_violations(project: int) -> None:
    """The product's own recount has to come to the same."""
    from django.db import connection

    from annotation.models import Project
    from annotation.selectors.invariants import violations

    connection.close()
    if found := violations(Project.objects.get(pk=project)):
        raise AssertionError(found)


@dataclass
class Drain:
    data: Path
    project: int
    plan: Plan
    nemesis: Nemesis

    def run(self, sessions: list[str]) -> float:
        began = time.monotonic()
        with self._labelers(sessions) as processes:
            failed: list[BaseException] = []
            blows = threading.Thread(target=self._strike, args=[failed])
            blows.start()
            self._wait(began, processes, failed)
            (self.data / "stop").touch()
            blows.join()
        if failed:
            raise failed[0]
        return time.monotonic() - began

    @contextmanager
    def _labelers(self, sessions: list[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
        (self.data / "labelers").mkdir()
        processes = [self._start(number, sessions) for number in range(self.plan.processes)]
        try:
            yield processes
        finally:
            (self.data / "stop").touch()
            for process in processes:
                process.wait(timeout=120)

    def _start(self, number: int, sessions: list[str]) -> subprocess.Popen[bytes]:
        mine = {at: sessions[at] for at in range(number, len(sessions), self.plan.processes)}
        settings = self.plan.shares | {
            "port": port(),
            "project": self.project,
            "sessions": mine,
            "seed": time.time_ns() % 10**9,
            "lease_seconds": self.plan.lease_seconds,
            "logs": str(self.data / "labelers"),
            "stop": str(self.data / "stop"),
        }
        path = self.data / f"labelers-{number}.json"
        path.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "bench.load.chaos_labeler", str(path)]
        return subprocess.Popen(command, cwd=ROOT)

    def _strike(self, failed: list[BaseException]) -> None:
        """Spread over the work, not over the time: a slow machine gets as many."""
        expected = (self.plan.items - self.plan.gold) * OVERLAP
        for number, name in enumerate(self.plan.blows, start=1):
            share = 0.85 * number / len(self.plan.blows)
            while self._answered() < share * expected and not (self.data / "stop").exists():
                time.sleep(0.1)
            try:
                back = self.nemesis.strike(name)
            except BaseException as error:
                failed.append(error)
                raise
            say(f"{self._answered()} answers; {name}: a page again after {back:.2f} s")

    def _answered(self) -> int:
        logs = (self.data / "labelers").glob("*.jsonl")
        return sum(log.read_bytes().count(b'"event": "acknowledged"') for log in logs)

    def _wait(
        self,
        began: float,
        processes: Sequence[subprocess.Popen[bytes]],
        failed: Sequence[BaseException],
    ) -> None:
        """Until every item has its answers, or nothing moves any more."""
        answered, moved = 0, began
        while (left := self._left()) != 0 and not failed:
            assert all(process.poll() is None for process in processes), "a labeler's process ended"
            now, count = time.monotonic(), self._answered()
            if count > answered:
                answered, moved = count, now
            if now - moved > PATIENCE or now - began > LONGEST:
                say(f"{left} items stuck after {now - began:.0f} s; the web server said last:")
                say("\n".join((self.data / "web.log").read_text().splitlines()[-30:]))
                return
            time.sleep(1)

    def _left(self) -> int | None:
        """None while the database does not answer."""
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3) as connection:
                return len(connection.execute(STUCK, {"project": self.project}).fetchall())
        except psycopg.OperationalError:
            return None


if __name__ == "__main__":
    # Ends what it started also when somebody ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(json.dumps(run(SMALL, spoil=" ".join(sys.argv[1:]))))
