"""50 labelers in a closed loop against 10,000 items with overlap 3, over the HTML route.

The production server, sessions and CSRF on, the next item in the submit's reply, the load
generator on the same cores, a web process killed with -9 in the middle. What must be zero:
items judged more often than their overlap, and acknowledged answers that are not stored.
"""

from __future__ import annotations

import time
from typing import Any

from bench.load.labeling import checked, label, percentiles, processors, say, web_memory
from bench.load.server import Service, database, web
from bench.load.work import make_work

LABELERS = 50
ITEMS = 10_000
OVERLAP = 3
SECONDS = 60.0


def run(
    *, labelers: int = LABELERS, items: int = ITEMS, seconds: float = SECONDS, kills: int = 1
) -> dict[str, Any]:
    with database() as data:
        say(f"making {items:,} items")
        project, sessions = make_work(labelers, items, overlap=OVERLAP)
        with web() as server:
            say(f"{labelers} labelers for {seconds:.0f} s")

            def kill() -> None:
                kill_in_the_middle(server, seconds, kills)

            outcome = label(data, project, sessions, server, seconds=seconds, meanwhile=kill)
            memory = web_memory(server)
        zero = checked(project, outcome)
    return {
        "labelers": labelers,
        "items": items,
        "overlap": OVERLAP,
        "seconds": round(outcome["seconds"], 1),
        "take_and_submit": len(outcome["sent"]),
        "take_and_submit_per_second": round(len(outcome["sent"]) / outcome["seconds"], 1),
        "times": {"submit, with the next item": percentiles(outcome["milliseconds"]["submit"])},
        "web_processes_killed": kills,
        "resent_after_the_kill": outcome["resent"],
        "processors": processors(outcome),
        "web_processes": memory,
        "must_be_zero": zero,
    }


def kill_in_the_middle(server: Service, seconds: float, kills: int) -> None:
    for _ in range(kills):
        time.sleep(seconds / (kills + 1))
        server.kill_a_child()
        say("a web process was killed")
