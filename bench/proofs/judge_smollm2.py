"""SmolLM2 judges pairs of PandaLM's test set behind our own server; its card must expose it.

By RLAIF's protocol, the log-probabilities of the labels A and B in both orders. It takes what is
shown first nine times in ten or more, so that the other order turns its verdict round as often and
nearly all it says is a tie; it agrees with people less than chance does, while two people agree on
nine of ten pairs that both decide. PAIRS items of the set, drawn at random: two free cores take
about three seconds for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.__main__ import ROOT

PAIRS = 300
TEST = "tests/feedback/test_smollm2_judge.py"


def run() -> dict[str, Any]:
    """PREFLOOP_JUDGED asks for another number of pairs, up to 999."""
    with tempfile.TemporaryDirectory(prefix="prefloop-judged-") as folder:
        told = Path(folder) / "figures.json"
        environment = {
            "PREFLOOP_JUDGED": str(PAIRS),
            **os.environ,
            "PREFLOOP_JUDGED_RESULT": str(told),
        }
        subprocess.run(
            [sys.executable, "-m", "pytest", TEST, "-q", "-p", "no:randomly"],
            cwd=ROOT, env=environment, check=True,
        )  # fmt: skip
        figures: dict[str, Any] = json.loads(told.read_text())
        return figures
