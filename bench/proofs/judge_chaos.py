"""10,000 verdicts of a judge whose endpoint fails often, and ten kill -9 of its worker.

One call in twenty is answered with 429 and Retry-After, 500, not at all, slowly, with half of its
JSON or with something else than was asked for. The worker is killed ten times in the middle of it
and started again, as a supervisor does; the first cap holds half of the work, so that the run also
stops there and goes on under another. All the while another connection watches the books.

What must hold: one verdict and at most one judgment an item; no call that was answered is asked
again, but for those that were out when the worker was killed, by the server's own count; every
request that the server did not turn away stands in a row that is booked, chain by chain, so that
what a kill leaves booked and never sent makes up for no other; nothing lost is asked a third time,
and nothing a fifth; the cap never passed. `python -m bench.proofs.judge_chaos` runs the
small version that `make test` uses.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench.load.judging import allowed_origin, make_judge, make_model, make_project, queue
from bench.load.server import Service, database
from tests.llm_server import LlmServer, start_llm_server

if TYPE_CHECKING:
    from annotation.models import JudgeRun

RATES = {
    "429": 0.01,
    "500": 0.01,
    "timeout": 0.005,
    "slow": 0.01,
    "malformed": 0.0075,
    "wrong_schema": 0.0075,
}
# Nothing more is judged for so long: stuck.
PATIENCE = 120.0


@dataclass(frozen=True)
class Plan:
    items: int = 10_000
    kills: int = 10
    concurrency: int = 100
    timeout_seconds: int = 5
    lease_seconds: int = 8
    sleep_ms: int = 30
    slow_ms: int = 1_000
    retry_after: float = 1.0


SMALL = Plan(
    items=100,
    kills=2,
    concurrency=8,
    timeout_seconds=2,
    lease_seconds=3,
    sleep_ms=40,
    slow_ms=200,
    retry_after=0.2,
)

# Every sum of calls must be what the run's books say, in one snapshot.
BOOKS = """
SELECT run.cap, run.settled, run.reserved,
    (SELECT coalesce(sum(settled_cost), 0) FROM annotation_judgecall WHERE run_id = run.id),
    (SELECT coalesce(sum(reserved_cost), 0) FROM annotation_judgecall
     WHERE run_id = run.id AND state = 'intended')
FROM annotation_judgerun run WHERE run.id = %s
"""
OUT = "SELECT count(*) FROM annotation_judgecall WHERE run_id = %s AND state = 'intended'"
DONE = "SELECT count(*) FROM annotation_judgeverdict WHERE run_id = %s"


@dataclass
class Watch:
    """Looks at the books from another connection, from the first call to the last."""

    run: int
    looks: int = 0
    highest: Decimal = Decimal(0)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            while not self._over.wait(0.02):
                cap, settled, reserved, paid, out = self._books(connection)
                self.looks += 1
                self.highest = max(self.highest, (settled + reserved) / cap)
                if settled + reserved > cap:
                    self.wrong.append(f"{settled} + {reserved} is over the cap of {cap}")
                if (settled, reserved) != (paid, out):
                    self.wrong.append(
                        f"{settled}, {reserved} stand, and the calls come to {paid}, {out}"
                    )

    def _books(self, connection: psycopg.Connection[Any]) -> tuple[Decimal, ...]:
        row = connection.execute(BOOKS, [self.run]).fetchone()
        assert row is not None
        return tuple(row)


def run(plan: Plan | None = None) -> dict[str, Any]:
    plan = plan or Plan()
    script = ["--sleep-ms", plan.sleep_ms, "--slow-ms", plan.slow_ms]
    script += ["--retry-after", plan.retry_after, "--verdict", "longer"]
    with (
        start_llm_server(*map(str, script), rates=RATES) as server,
        allowed_origin(server),
        database() as data,
    ):
        return Chaos(plan, server, data).run()


class Chaos:
    def __init__(self, plan: Plan, server: LlmServer, data: Path) -> None:
        self.plan, self.server = plan, server
        self.project = make_project(plan.items)
        model = make_model(
            server, concurrency=plan.concurrency, timeout_seconds=plan.timeout_seconds
        )
        self.judge = make_judge(self.project, model)
        self.worker = _worker(plan, data)
        self.out_at_kills: list[int] = []

    def run(self) -> dict[str, Any]:
        from annotation.services.judge_run import estimate_run

        told = estimate_run(project=self.project, judge=self.judge)
        asked = queue(self.project, self.judge, cap=told.likely_cost / 2)
        began = time.monotonic()
        self.worker.start()
        try:
            with Watch(asked.pk) as watch:
                self._kill_often(asked, told.cost * 2)
        finally:
            self.worker.stop()
        seconds = round(time.monotonic() - began, 1)
        found = self._checked(asked, watch)
        return {"items": self.plan.items, "fault_rates": RATES, "seconds": seconds} | found

    def _kill_often(self, asked: JudgeRun, cap: Decimal) -> None:
        """Spread over the work, not over the time: a slow machine gets as many."""
        from annotation.services.judge_run import resume_run

        stops = 0
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            done, moved = 0, time.monotonic()
            while True:
                before, done = done, _count(connection, DONE, asked.pk)
                moved = time.monotonic() if done > before else moved
                self._maybe_kill(connection, asked, done)
                asked.job.refresh_from_db()  # type: ignore[union-attr]
                state = asked.job.state  # type: ignore[union-attr]
                if state == "succeeded":
                    break
                if state == "failed" and stops == 0:
                    stops, moved = 1, time.monotonic()
                    _say(f"stopped after {done}: {asked.job.error}")  # type: ignore[union-attr]
                    resume_run(run=asked, cap=cap)
                if state in ("failed", "cancelled") and stops > 1:
                    raise AssertionError(asked.job.error)  # type: ignore[union-attr]
                if time.monotonic() - moved > PATIENCE:
                    raise AssertionError(f"stuck at {done} verdicts; the job is {state}")
                time.sleep(0.02)
        if not stops:
            raise AssertionError("the first cap stopped nothing")

    def _maybe_kill(self, connection: Any, asked: JudgeRun, done: int) -> None:
        number = len(self.out_at_kills) + 1
        if number > self.plan.kills or done < 0.9 * self.plan.items * number / (
            self.plan.kills + 1
        ):
            return
        if not _count(connection, OUT, asked.pk):
            return
        self.worker.kill_master()
        time.sleep(0.3)  # what it had sent to the database by then may still be committed
        self.out_at_kills.append(_count(connection, OUT, asked.pk))
        _say(f"{done} verdicts; killed with {self.out_at_kills[-1]} calls out")
        self.worker.start()

    def _checked(self, asked: JudgeRun, watch: Watch) -> dict[str, Any]:
        from django.db.models import Count

        from annotation.models import JudgeVerdict, Judgment
        from annotation.services.call_store import LOST

        verdicts = JudgeVerdict.objects.filter(judge=self.judge)
        outcomes = dict(verdicts.order_by().values_list("outcome").annotate(n=Count("pk")))
        calls = asked.calls
        states = dict(calls.order_by().values_list("state").annotate(n=Count("pk")))
        judgments = Judgment.objects.filter(origin="judge")
        items = judgments.values("assignment__item").distinct().count()
        stats, out = self.server.stats(), sum(self.out_at_kills)
        lost = calls.filter(state="unknown", error=LOST)
        sent, booked = self.server.billed(), self._booked(asked)
        must_be_zero = {
            "items_without_a_verdict": self.plan.items - verdicts.values("item").distinct().count(),
            "items_with_two_verdicts": verdicts.count() - self.plan.items,
            "items_with_two_judgments": judgments.count() - items,
            "judged_without_judgment": outcomes.get("judged", 0) - items,
            "calls_left_out": states.get("intended", 0),
            "lost_calls_not_out_at_a_kill": max(0, lost.count() - out),
            "answered_again_beyond_those_out": max(0, stats["answered_again"] - out),
            "sent_and_not_booked": not_booked(sent, booked),
            "lost_a_third_time": _repeated(lost, more_than=2),
            "asked_a_fifth_time": calls.filter(attempt__gt=4).count(),
            "books_wrong": len(watch.wrong),
        }
        if any(must_be_zero.values()):
            raise AssertionError({**must_be_zero, "wrong": watch.wrong[:3]})
        return {
            "outcomes": outcomes,
            "calls": states,
            "kills": len(self.out_at_kills),
            "calls_out_at_kills": self.out_at_kills,
            "answered_again": stats["answered_again"],
            "sent": sum(sent.values()),
            "booked": booked.total(),
            "faults": stats["faults"],
            "looks_at_the_books": watch.looks,
            "highest_share_of_the_cap": round(float(watch.highest), 4),
            "must_be_zero": must_be_zero,
        }

    def _booked(self, asked: JudgeRun) -> Counter[str]:
        """Calls that something is booked for, by the mark that the server saw in their chain."""
        from django.conf import settings

        from annotation.judging.exchange import Chain
        from annotation.judging.keys import call_key, nonce
        from annotation.selectors.judge import judge_key

        secret, booked = settings.SECRET_KEY.encode(), Counter[str]()
        rows = asked.calls.filter(settled_cost__gt=0)
        names = ("parameters__content", "shown_order", "sample_index")
        for content, order, sample in rows.values_list(*names):
            key = call_key(
                judge_key=judge_key(self.judge),
                content_hash=content,
                chain=Chain(tuple(order), sample),
                purpose=asked.purpose,
            )
            booked[nonce(secret, key)] += 1
        return booked


def not_booked(sent: Mapping[str, int], booked: Mapping[str, int]) -> int:
    """How many requests of a chain are more than what is booked for it, over all chains."""
    return sum(max(0, requests - booked.get(mark, 0)) for mark, requests in sent.items())


def _worker(plan: Plan, data: Path) -> Service:
    environment = {
        "PREFLOOP_DATABASE_POOL": "0",
        "PREFLOOP_SWEEP_SECONDS": "1",
        "PREFLOOP_JOB_LEASE_SECONDS": str(plan.lease_seconds),
    }
    command = [sys.executable, "-m", "bench.load.judge_worker"]
    return Service(command, os.environ | environment, data / "worker.log")


def _repeated(calls: Any, *, more_than: int) -> int:
    from django.db.models import Count

    alike = calls.order_by().values("item", "purpose", "shown_order", "sample_index")
    return int(alike.annotate(times=Count("pk")).filter(times__gt=more_than).count())


def _count(connection: Any, sql: str, run: int) -> int:
    return int(connection.execute(sql, [run]).fetchone()[0])


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Ends what it started also when somebody ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(json.dumps(run(SMALL)))
