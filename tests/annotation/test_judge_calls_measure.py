"""The small version of bench/measures/judge_calls.py: that it counts what it says it counts.

How fast it is is no business of a test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_call_of_the_measure_has_its_row_and_each_item_its_judgment() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "bench.measures.judge_calls"],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["speed"]["calls_a_round"] == told["memory"]["calls"] == 200
    assert set(told["speed"]["judge"]) == set(told["speed"]["plain_loop"])
    assert told["memory"]["megabytes_at_most"] >= told["memory"]["megabytes_before"] > 0
