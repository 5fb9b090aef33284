"""Takes each guard of the queue away, one at a time, and reports whether it is noticed.

Guards in SQL and constraints: by the test that holds each (tests/annotation/test_queue_*.py).
Guards that only load shows: by the chaos proof, whose checker has to refuse what came out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from bench.load.labeling import say
from bench.load.server import ROOT

TESTS = "tests/annotation/test_queue_mutations.py"
UNDER_LOAD = {
    "trigger: slots follow assignments": (
        "ALTER TABLE annotation_assignment DISABLE TRIGGER keep_slots"
    ),
    "answers are stored in canonical order": (
        "UPDATE annotation_itemresponse SET position = 9 WHERE position = 0;"
        "UPDATE annotation_itemresponse SET position = 0 WHERE position = 1;"
        "UPDATE annotation_itemresponse SET position = 1 WHERE position = 9"
    ),
}


def run() -> dict[str, Any]:
    told = by_tests() | {f"{name} (chaos)": under_load(sql) for name, sql in UNDER_LOAD.items()}
    survived = [name for name, killed in told.items() if not killed]
    if survived:
        raise AssertionError(f"Nobody noticed: {survived}")
    return {"mutations": len(told), "killed": len(told), "survived": 0, "names": sorted(told)}


def by_tests() -> dict[str, bool]:
    """A test that fails there is a mutation that survived."""
    say("removing guards under the tests that hold them")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", TESTS, f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False)
        # Our own file, made a moment ago.
        tests = ET.parse(report).findall(".//testcase")  # noqa: S314
    found = {test.get("name", "").partition("[")[2].rstrip("]"): test for test in tests}
    return {
        name: test.find("failure") is None and test.find("error") is None
        for name, test in found.items()
        if name
    }


def under_load(sql: str) -> bool:
    """Whether the checker refuses what the small chaos leaves behind without the guard."""
    say(f"labeling in chaos after: {sql[:70]}")
    proof = subprocess.run(
        [sys.executable, "-m", "bench.proofs.labeling_chaos", sql],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name in ("PATH", "HOME")},
        capture_output=True,
        text=True,
        check=False,
    )
    return proof.returncode != 0 and "AssertionError: Count and first five" in proof.stderr
