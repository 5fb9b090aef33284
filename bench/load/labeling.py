"""What the measures of labeling over HTTP share: a crowd, its times, who used the processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.load.checker import History, broken_promises, broken_rules
from bench.load.server import ROOT, Service, cpu_seconds, port, postgres_process

Outcome = dict[str, Any]


def label(
    data: Path,
    project: int,
    sessions: Sequence[str],
    server: Service,
    *,
    seconds: float,
    pace_seconds: float = 0.0,
    meanwhile: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs the crowd in a process of its own, and adds who used how much processor time."""
    settings, outcome = data / "load.json", data / "outcome.json"
    values = {"port": port(), "project": project, "sessions": list(sessions)}
    values |= {"seconds": seconds, "pace_seconds": pace_seconds, "outcome": str(outcome)}
    settings.write_text(json.dumps(values))
    database = postgres_process(data)
    before = server.cpu_seconds(), cpu_seconds(database)
    thread = threading.Thread(target=meanwhile)
    thread.start()
    command = [sys.executable, "-m", "bench.load.labeler", str(settings)]
    subprocess.run(command, cwd=ROOT, check=True)
    thread.join()
    used = server.cpu_seconds() - before[0], cpu_seconds(database) - before[1]
    result: Outcome = json.loads(outcome.read_text())
    result["cpu"] = {"web": used[0], "database": used[1], "load": result["cpu_seconds"]}
    return result


def processors(outcome: Outcome) -> dict[str, Any]:
    """Seconds of processor time by kind of process, and each one's share of the machine."""
    there = outcome["seconds"] * (os.cpu_count() or 1)
    answers = max(1, len(outcome["sent"]))
    return {
        name: {
            "cpu_seconds": round(used, 1),
            "share_of_all_cores": round(used / there, 3),
            "ms_an_answer": round(1000 * used / answers, 2),
        }
        for name, used in outcome["cpu"].items()
    }


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    times = sorted(milliseconds)
    at = {f"p{share}_ms": times[int(len(times) * share / 100)] for share in (50, 95, 99)}
    return {name: round(ms, 1) for name, ms in (at | {"max_ms": times[-1]}).items()}


def checked(project: int, outcome: Outcome) -> dict[str, int]:
    """Raises when an answer was lost or changed, or a slot does not fit."""
    sent = {one["key"]: one for one in outcome["sent"]}
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        broken = broken_rules(connection, project, drained=False)
        # An answer on its way when the time was up may be stored without being acknowledged.
        broken |= broken_promises(connection, project, History(sent, list(sent)))
    counts = {name: len(rows) for name, rows in broken.items()}
    if any(counts.values()):
        raise AssertionError(counts)
    return counts


def web_memory(server: Service) -> list[str]:
    megabytes = [
        process.memory_info().rss / 2**20
        for process in psutil.Process(server.process.pid).children()
    ]
    return [f"{each:.1f} MB" for each in megabytes]


def say(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
