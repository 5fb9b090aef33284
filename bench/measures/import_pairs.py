"""100,000 chosen/rejected pairs, each with a prompt of its own, through the ordinary import.

What must hold: under 60 seconds, memory that does not grow with the file, and nothing added by
importing the same file again.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

from bench.load.server import database

PAIRS = 100_000
WORDS = {"prompt": 40, "chosen": 110, "rejected": 90}


def run(*, pairs: int = PAIRS) -> dict[str, Any]:
    with database() as data:
        path = data / "pairs.jsonl"
        megabytes = write_pairs(path, pairs)
        project = make_project()
        before = peak_megabytes()
        first, counts = timed_import(project, path)
        after = peak_megabytes()
        second, again = timed_import(project, path)
        assert counts["items"] == counts["judgments"] == pairs
        assert again["items"] == again["judgments"] == 0
    return {
        "pairs": pairs,
        "megabytes": megabytes,
        "seconds": first,
        "pairs_per_second": round(pairs / first),
        "seconds_again": second,
        "peak_megabytes_before": before,
        "peak_megabytes_after": after,
    }


def write_pairs(path: Path, pairs: int) -> float:
    """Random words: no prompt is near another, so every one makes a cluster."""
    rng = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    with path.open("w") as file:
        for number in range(pairs):
            texts = {name: " ".join(rng.choices(words, k=size)) for name, size in WORDS.items()}
            file.write(json.dumps({"id": f"pair {number}", **texts}) + "\n")
    return round(path.stat().st_size / 1e6, 1)


def make_project() -> Any:
    from annotation.models import Kind
    from annotation.services.project import create_project
    from core.models import User

    owner = User.objects.create(username="owner", can_create_projects=True)
    criteria = [{"key": "overall", "name": "Overall", "definition": "Which answer is better?"}]
    return create_project(creator=owner, name="Import", kinds=[Kind.PAIRWISE], criteria=criteria)


def timed_import(project: Any, path: Path) -> tuple[float, dict[str, int]]:
    from annotation.services.import_data import import_data

    started = time.monotonic()
    report = import_data(project=project, format_name="pairs", path=path)
    return round(time.monotonic() - started, 1), report.as_json()["counts"]


def peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
