"""Calls of a judge a second, beside a plain loop of the openai client with the same payload.

A server in its own process answers each call after 50 ms with a canned reply; 200 calls are out at
once, so 4,000 a second is the physical limit. In turn: a plain asyncio loop over one shared client,
its bodies made beforehand and nothing kept; and a judge's run, which renders each call, writes its
row and reserves its cost before it leaves, settles it, reads it, and writes verdicts and judgments.

Part `memory`: one run of 100,000 calls, and what its process holds at the start and at the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.load.judging import (
    bodies_of,
    make_judge,
    make_model,
    make_project,
    plain_loop,
    queue,
)
from bench.load.server import cpu_seconds, database, postgres_process
from tests.llm_server import LlmServer, start_llm_server

CONCURRENCY = 200
SLEEP_MS = 50
CALLS = 6_000
ROUNDS = 3
MEMORY_CALLS = 100_000
SMALL_CALLS = 200
CASES = ("speed", "memory")
MEGABYTE = 2**20


def run(case: str, *, calls: int | None = None, rounds: int = ROUNDS) -> dict[str, Any]:
    with start_llm_server("--sleep-ms", str(SLEEP_MS), "--canned") as server, database() as data:
        if case == "memory":
            return memory(server, calls or MEMORY_CALLS)
        return Speed(server, data, calls or CALLS).rounds(rounds)


class Speed:
    def __init__(self, server: LlmServer, data: Path, calls: int) -> None:
        self.server, self.data, self.calls = server, data, calls
        self.project = make_project(calls // 2)
        self.model = make_model(server, concurrency=CONCURRENCY, timeout_seconds=60)
        first = make_judge(self.project, self.model)
        self.bodies = bodies_of(self.project, first, calls // 2)

    def rounds(self, rounds: int) -> dict[str, Any]:
        runs: dict[str, list[dict[str, float]]] = {"plain_loop": [], "judge": []}
        self._judge(-1)  # what is imported and planned at the first time
        for number in range(rounds):
            runs["plain_loop"].append(self._timed(self._plain))
            runs["judge"].append(self._timed(self._judge, number))
            print(runs["plain_loop"][-1], runs["judge"][-1], file=sys.stderr, flush=True)
        pairs = zip(runs["judge"], runs["plain_loop"], strict=True)
        limit = CONCURRENCY / (SLEEP_MS / 1000)
        lower = [min(plain["per_second"], limit) for plain in runs["plain_loop"]]
        shares = [
            100 * ours["per_second"] / least for (ours, _), least in zip(pairs, lower, strict=True)
        ]
        return {
            "concurrency": CONCURRENCY,
            "server_sleeps_ms": SLEEP_MS,
            "calls_a_round": self.calls,
            "rounds": rounds,
            "physical_limit_per_second": limit,
            **{name: _told(each) for name, each in runs.items()},
            "percent_of_the_lower_of_limit_and_plain_loop": _spread(shares),
        }

    def _plain(self) -> float:
        return asyncio.run(plain_loop(self.server, self.bodies, CONCURRENCY))

    def _judge(self, seed: int) -> float:
        """A version of its own each time, so that every call is new."""
        from core import jobs

        judge = make_judge(self.project, self.model, seed=seed + 1)
        limit = 50 if seed < 0 else 0
        asked = queue(self.project, judge, limit=limit)
        began = time.perf_counter()
        jobs.run(asked.job_id or 0)
        seconds = time.perf_counter() - began
        _check(asked, limit or self.calls // 2)
        return seconds

    def _timed(self, act: Any, *given: Any) -> dict[str, float]:
        """Calls a second, and milliseconds of processor time a call by process."""
        gc.collect()
        own, postgres = psutil.Process(), postgres_process(self.data)
        before = (_own(own), cpu_seconds(postgres), self.server.stats()["cpu_seconds"])
        seconds = act(*given)
        after = (_own(own), cpu_seconds(postgres), self.server.stats()["cpu_seconds"])
        used = [1000 * (one - two) / self.calls for one, two in zip(after, before, strict=True)]
        return {
            "per_second": self.calls / seconds,
            "ms_of_own_process": used[0],
            "ms_of_database": used[1],
            "ms_of_server": used[2],
        }


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _check(asked: Any, items: int) -> None:
    """Every call has its row, every item its judgment, and the books balance."""
    from django.db.models import Sum

    from annotation.models import Judgment

    asked.refresh_from_db()
    calls = asked.calls.filter(state="done")
    paid = calls.aggregate(all=Sum("settled_cost"))["all"]
    judgments = Judgment.objects.filter(judge_verdict__run=asked).count()
    asked.job.refresh_from_db()
    found = (asked.job.state, calls.count(), judgments, asked.settled, asked.reserved)
    if found != ("succeeded", 2 * items, items, paid, 0):
        raise AssertionError(f"{items} items came to {found}; {asked.job.error}")


def memory(server: LlmServer, calls: int) -> dict[str, Any]:
    from core import jobs

    project = make_project(calls // 2)
    judge = make_judge(project, make_model(server, concurrency=CONCURRENCY, timeout_seconds=60))
    asked = queue(project, judge)
    gc.collect()
    with _watched(asked) as seen:
        began = time.perf_counter()
        jobs.run(asked.job_id or 0)
        seconds = time.perf_counter() - began
    _check(asked, calls // 2)
    tenth = max(1, len(seen) // 10)
    return {
        "calls": calls,
        "calls_per_second": round(calls / seconds),
        "megabytes_before": round(seen[0]),
        "megabytes_after_a_tenth": round(statistics.median(seen[tenth : 2 * tenth] or seen)),
        "megabytes_at_the_end": round(statistics.median(seen[-tenth:])),
        "megabytes_at_most": round(max(seen)),
    }


@contextmanager
def _watched(asked: Any) -> Iterator[list[float]]:
    """Resident memory of this process, twice a second."""
    seen = [psutil.Process().memory_info().rss / MEGABYTE]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.append(psutil.Process().memory_info().rss / MEGABYTE)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _told(runs: Sequence[dict[str, float]]) -> dict[str, str]:
    return {name: _spread([one[name] for one in runs]) for name in runs[0]}


def _spread(numbers: Sequence[float]) -> str:
    """Median, lowest and highest."""
    digits = 0 if min(numbers) >= 50 else 2
    middle, low, high = (
        f"{one:,.{digits}f}" for one in (statistics.median(numbers), min(numbers), max(numbers))
    )
    return f"{middle} ({low} to {high})"


def small() -> dict[str, Any]:
    """Both parts on one database, for the tests: whether it all fits together."""
    with start_llm_server("--sleep-ms", str(SLEEP_MS), "--canned") as server, database() as data:
        speed = Speed(server, data, SMALL_CALLS).rounds(1)
        return {"speed": speed, "memory": memory(server, SMALL_CALLS)}


if __name__ == "__main__":
    print(json.dumps(small()))
