"""200 labelers at a human pace: one answer in ten seconds each, a new page each ten answers.

What each of them feels: how long the page takes to open with its item (next), and how long an
answer takes to be stored and the following item to be there (submit).
"""

from __future__ import annotations

from typing import Any

from bench.load.labeling import checked, label, percentiles, processors, say
from bench.load.server import database, web
from bench.load.work import make_work

LABELERS = 200
ITEMS = 10_000
SECONDS = 120.0
PACE_SECONDS = 10.0


def run(
    *, labelers: int = LABELERS, items: int = ITEMS, seconds: float = SECONDS
) -> dict[str, Any]:
    with database() as data:
        say(f"making {items:,} items")
        project, sessions = make_work(labelers, items)
        with web() as server:
            say(f"{labelers} labelers for {seconds:.0f} s")
            outcome = label(
                data, project, sessions, server, seconds=seconds, pace_seconds=PACE_SECONDS
            )
        zero = checked(project, outcome)
    return {
        "labelers": labelers,
        "items": items,
        "seconds_between_answers": PACE_SECONDS,
        "seconds": round(outcome["seconds"], 1),
        "answers": len(outcome["sent"]),
        "answers_per_second": round(len(outcome["sent"]) / outcome["seconds"], 1),
        "times": {
            "next: the page with its item": percentiles(outcome["milliseconds"]["next"]),
            "submit, with the next item": percentiles(outcome["milliseconds"]["submit"]),
        },
        "processors": processors(outcome),
        "must_be_zero": zero,
    }
