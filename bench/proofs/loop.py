"""The whole loop on a quarter of llmfao: the browser test's story, more steps of DPO on SmolLM2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.load.server import ROOT

EVERY = 4
STEPS = 12


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="prefloop-loop-") as folder:
        told = Path(folder) / "story.json"
        environment = os.environ | {
            "PREFLOOP_STORY_EVERY": str(EVERY),
            "PREFLOOP_STORY_STEPS": str(STEPS),
            "PREFLOOP_STORY_RESULT": str(told),
        }
        test = ["tests/browser/test_loop.py", "-q", "-p", "no:randomly"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *test], cwd=ROOT, env=environment, check=True
        )
        story: dict[str, Any] = json.loads(told.read_text())
        return story
