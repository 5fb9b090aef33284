"""docs/training-data.md is held to the tests that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "training-data.md").read_text()))
    there = {
        name
        for path in (ROOT / "tests" / "training" / "alignment").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= there, named - there
