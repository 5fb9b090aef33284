"""Where the judgments that real people made lie: PREFLOOP_TEST_DATA, or beside the repository."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared" / "data"


def real_data_folder() -> Path:
    """The folder with llmfao, pandalm, squality and hhh_alignment; skips the test without it."""
    folder = Path(os.environ.get("PREFLOOP_TEST_DATA") or BESIDE)
    if not (folder / "llmfao").is_dir():
        pytest.skip("No real judgments here: set PREFLOOP_TEST_DATA to the folder with llmfao.")
    return folder
