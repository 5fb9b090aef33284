"""Hand-out of 1,000,000 items with overlap 3, beside `pgbench -N` on the same server.

Three things in turn, three times, at 1, 8 and 50 clients: `pgbench -N`; the hand-out's one
statement by `pgbench -f`; `claim_item()` in eight Python processes. Figures are medians of the
three, with the lowest and the highest; what counts is the share of -N of the same round. fsync is
on. Every hand-out makes a new lease: it is to a person who has nothing open.

Then a labeler who works alone takes and answers 20,000 items, gold and probes among them: what
the first and the last thousand hand-outs took, and whether the kind of one can be told by it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.server import ROOT, database
from core.postgres_binaries import installed

ITEMS = 1_000_000
OVERLAP = 3
CLIENTS = (1, 8, 50)
ROUNDS = 3
SECONDS = 10.0
OWN_ITEMS = 20_000
PROCESSES = 8
# One in a hundred, for the tests: whether it all fits together, and whether the counts agree.
SMALL: dict[str, Any] = {
    "items": 10_000,
    "clients": (2,),
    "rounds": 1,
    "seconds": 1.0,
    "scale": 1,
    "own_items": 200,
    "processes": 2,
}
# Each client has people of its own, one after the other.
HAND_OUT = """\\set n :n + 1
\\set person :first + :client_id * :block + :n
SELECT id FROM annotation_claim(:project, :person, '{}', 'main', 900, 120);
"""


@dataclass(frozen=True)
class Run:
    """One of the three for some seconds."""

    seconds: float
    milliseconds: list[float]

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds

    def at(self, share: float) -> float:
        times = sorted(self.milliseconds)
        return times[min(int(len(times) * share), len(times) - 1)]


def run(
    *,
    items: int = ITEMS,
    clients: Sequence[int] = CLIENTS,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    scale: int = 10,
    own_items: int = OWN_ITEMS,
    processes: int = PROCESSES,
) -> dict[str, Any]:
    with database() as data:
        from annotation.selectors.invariants import violations
        from bench.load.queue_rows import make_people, make_project, settle

        began = time.monotonic()
        project = make_project("Queue", items, OVERLAP)
        make_people(2 * items)
        settle()
        built = round(time.monotonic() - began, 1)
        block = 2 * items // (2 * rounds * len(clients))
        with Bench(data, project.pk, seconds, block, scale, processes) as bench:
            by_clients = {f"{count} clients": bench.rounds(count, rounds) for count in clients}
        leases = project.items.filter(assignments__state="leased").count()
        if leases != bench.handed_out:
            raise AssertionError(f"{bench.handed_out} were handed out, and {leases} leases made")
        alone = lone_labeler(own_items)
        if found := violations(project):
            raise AssertionError(found)
    settings = {"items": items, "overlap": OVERLAP, "seconds_to_build": built}
    settings |= {"rounds": rounds, "seconds_each": seconds, "handed_out": leases}
    return settings | by_clients | {"lone_labeler": alone}


class Bench:
    """The server, the processes that call `claim_item`, and the people who are still free."""

    def __init__(
        self, data: Path, project: int, seconds: float, people: int, scale: int, processes: int
    ) -> None:
        """`people`: how many there are for each run."""
        from bench.load.queue_rows import FIRST_PERSON

        self.data, self.project, self.seconds = data, project, seconds
        self.next_person, self.people = FIRST_PERSON, people
        self.handed_out = 0
        self._scale, self._processes = scale, processes

    def __enter__(self) -> Bench:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE pgbench")
        (self.data / "hand_out.sql").write_text(HAND_OUT)
        self._pgbench("pgbench", "-i", "-q", "-s", str(self._scale))
        self.processes = [self._claimer() for _ in range(self._processes)]
        for process in self.processes:
            _line(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)

    def rounds(self, clients: int, rounds: int) -> dict[str, Any]:
        kinds = {
            "pgbench_N": self.simple_update,
            "sql": self.statement,
            "claim_item": self.claim_item,
        }
        runs: dict[str, list[Run]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, act in kinds.items():
                self._checkpoint()
                runs[name].append(act(clients))
        told = {name: _figures(each) for name, each in runs.items()}
        for name in ("sql", "claim_item"):
            pairs = zip(runs[name], runs["pgbench_N"], strict=True)
            shares = [100 * one.per_second / base.per_second for one, base in pairs]
            told[name]["percent_of_N"] = _spread(shares)
        print(clients, "clients:", json.dumps(told), file=sys.stderr, flush=True)
        return told

    def simple_update(self, clients: int) -> Run:
        return self._timed("pgbench", clients, "-N")

    def statement(self, clients: int) -> Run:
        from django.db import connection

        values = {"project": self.project, "n": 0, "first": self.next_person}
        values["block"] = self.people // clients
        script = ["-n", "-f", str(self.data / "hand_out.sql")]
        script += [word for name, value in values.items() for word in ("-D", f"{name}={value}")]
        done = self._timed(connection.settings_dict["NAME"], clients, *script)
        self.next_person += self.people
        self.handed_out += len(done.milliseconds)
        return done

    def claim_item(self, clients: int) -> Run:
        """Each of the clients is a thread; the threads are dealt out over the processes."""
        count = min(clients, len(self.processes))
        dealt = [range(number, clients, count) for number in range(count)]
        for process, numbers in zip(self.processes, dealt, strict=False):
            people = [self.next_person + number * (self.people // clients) for number in numbers]
            asked = {"people": people, "seconds": self.seconds}
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        told = [
            json.loads(_line(process)) for process, _ in zip(self.processes, dealt, strict=False)
        ]
        threads = [each for one in told for each in one["milliseconds"]]
        self.handed_out += sum(len(each) + 1 for each in threads)
        self.next_person += self.people
        return Run(self.seconds, [one for each in threads for one in each])

    def _timed(self, database: str, clients: int, *options: str) -> Run:
        """pgbench's log has a line a transaction; its third word is the microseconds it took."""
        with tempfile.TemporaryDirectory(dir=self.data) as folder:
            log = ["-l", f"--log-prefix={folder}/log"]
            load = ["-c", str(clients), "-j", str(min(2, clients)), "-T", f"{self.seconds:.0f}"]
            self._pgbench(database, "-M", "prepared", *load, *log, *options)
            lines = [line for file in Path(folder).iterdir() for line in file.open()]
        return Run(self.seconds, [int(line.split()[2]) / 1000 for line in lines])

    def _pgbench(self, database: str, *options: str) -> None:
        from django.db import connection

        given = connection.settings_dict
        login = {"PGHOST": given["HOST"], "PGUSER": given["USER"], "PGPASSWORD": given["PASSWORD"]}
        subprocess.run(
            [installed()[0].program("pgbench"), *options, database],
            env=os.environ | login,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def _claimer(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bench.load.claimer", str(self.project)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _checkpoint(self) -> None:
        """So that none falls into one run and not into another."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")


def lone_labeler(own_items: int) -> dict[str, Any]:
    """Takes and answers item after item; only the taking is timed."""
    from annotation.answers import AnswerValue
    from annotation.services.claim_item import claim_item
    from annotation.services.submit_judgment import submit_judgment
    from bench.load.queue_rows import make_gold, make_project, settle
    from core.models import User

    user = User.objects.create(username="alone")
    project = make_project("Alone", own_items + own_items // 2, OVERLAP)
    make_gold(project, own_items // 50)
    settle()
    project.gold_share = project.probe_share = 2
    protocol, answers = project.protocol, {"overall": AnswerValue(strength=1)}
    times: list[tuple[str, float]] = []
    for number in range(own_items):
        begin = time.perf_counter()
        assignment = claim_item(project=project, user=user)
        times.append(("", (time.perf_counter() - begin) * 1000))
        if assignment is None:
            raise AssertionError(f"no work after {number} items")
        times[-1] = (assignment.occasion.split()[0], times[-1][1])
        submit_judgment(
            assignment=assignment, client_key=f"alone {number}", answers=answers, protocol=protocol
        )
    return _alone(times)


def _alone(times: list[tuple[str, float]]) -> dict[str, Any]:
    some = max(len(times) // 20, 1)
    first, last = (Run(1, [one for _, one in part]) for part in (times[:some], times[-some:]))
    kinds = {
        kind: round(statistics.median(one for name, one in times if name == kind), 2)
        for kind in sorted({kind for kind, _ in times})
    }
    return {
        "own_items": len(times),
        "p50_ms_at_the_start": round(first.at(0.5), 2),
        "p50_ms_at_the_end": round(last.at(0.5), 2),
        "p99_ms_at_the_start": round(first.at(0.99), 2),
        "p99_ms_at_the_end": round(last.at(0.99), 2),
        "end_to_start": round(last.at(0.5) / first.at(0.5), 2),
        "p50_ms_by_kind": kinds,
    }


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("A process that hands out items has ended; see above.")
    return line


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "per_second": _spread([one.per_second for one in runs]),
        "p50_ms": _spread([one.at(0.5) for one in runs]),
        "p99_ms": _spread([one.at(0.99) for one in runs]),
    }


def _spread(numbers: Sequence[float]) -> str:
    """Median, lowest and highest."""
    digits = 0 if min(numbers) >= 100 else 1 if min(numbers) >= 10 else 2
    middle, low, high = (
        f"{one:,.{digits}f}" for one in (statistics.median(numbers), min(numbers), max(numbers))
    )
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    print(json.dumps(run(**SMALL)))
