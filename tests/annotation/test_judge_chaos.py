"""The one-per-cent version of bench/proofs/judge_chaos.py, with a worker of its own to kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.proofs.judge_chaos import not_booked

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 800  # under 40 on an idle machine


def test_what_is_booked_and_was_never_sent_makes_up_for_nothing() -> None:
    """Chain a timed out once, and only the second try is booked; b was out at two kills."""
    assert not_booked({"a": 2, "b": 1}, {"a": 1, "b": 3}) == 1
    assert not_booked({"a": 2, "b": 1}, {"a": 2, "b": 3}) == 0
    assert not_booked({"a": 1}, {}) == 1


def test_no_verdict_is_doubled_and_no_call_repeated_while_the_worker_is_killed() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    proof = subprocess.Popen(
        [sys.executable, "-m", "bench.proofs.judge_chaos"],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said, _ = proof.communicate(timeout=SECONDS)
    finally:
        proof.terminate()
        proof.wait(timeout=60)
    assert proof.returncode == 0
    told = json.loads(said)
    assert sum(told["outcomes"].values()) == told["items"] == 100
    assert told["kills"] == 2
    assert all(told["calls_out_at_kills"])
    assert told["looks_at_the_books"] > 10
    assert 0.5 < told["highest_share_of_the_cap"] <= 1
    assert set(told["must_be_zero"].values()) == {0}
