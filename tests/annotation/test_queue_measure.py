"""The small version of bench/measures/queue.py: that all fits together and nothing is miscounted.

How fast it is is no business of a test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_hand_out_made_a_lease_and_broke_no_promise() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "bench.measures.queue"],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["items"] == 10_000
    assert told["handed_out"] > 0
    assert set(told["2 clients"]) == {"pgbench_N", "sql", "claim_item"}
    assert told["lone_labeler"]["own_items"] == 200
    assert "main" in told["lone_labeler"]["p50_ms_by_kind"]
