"""A process that hands out items by `claim_item`, as a web process does, and times each call.

It reads a line of JSON for each run and answers with one: {"seconds", "people": [first person of
each thread]}, then {"milliseconds": [those of each thread]}. Every hand-out is to a person who has
nothing open, so every one is a new lease.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from typing import Any


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from annotation.models import Project

    project = Project.objects.get(pk=int(sys.argv[1]))
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"milliseconds": run(project, asked)}), flush=True)


def run(project: Any, asked: dict[str, Any]) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in asked["people"]]
    barrier = threading.Barrier(len(times))

    def claim_on(number: int) -> None:
        from django.db import connection

        try:
            claims(project, asked["people"][number], asked["seconds"], barrier, times[number])
        finally:
            connection.close()

    threads = [threading.Thread(target=claim_on, args=[number]) for number in range(len(times))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def claims(
    project: Any, first: int, seconds: float, barrier: threading.Barrier, times: list[float]
) -> None:
    from annotation.services.claim_item import claim_item
    from core.models import User

    user = User(pk=first)
    claim_item(project=project, user=user)  # not timed: it connects
    barrier.wait()
    end = time.perf_counter() + seconds
    for person in itertools.count(first + 1):
        user.pk = person
        begin = time.perf_counter()
        assignment = claim_item(project=project, user=user)
        now = time.perf_counter()
        if assignment is None:
            raise RuntimeError(f"nothing was handed out to person {person}")
        times.append((now - begin) * 1000)
        if now > end:
            return


if __name__ == "__main__":
    main()
