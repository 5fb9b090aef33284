"""What a run has trained becomes a version, whatever its samples say."""

from __future__ import annotations

import json
from pathlib import Path

from core import jobs
from core.jobs import JobContext
from tests.training.alignment.tiny import write_model
from tests.training.conftest import Launch
from training.services.version import register_version


def test_samples_may_hold_any_character(launch: Launch, tmp_path: Path) -> None:
    """Line separators that JSON leaves as they are, and NUL, which no database keeps."""
    run = launch()
    write_model(tmp_path / "model")
    sample = {
        "prompt": [{"role": "user", "content": "first\u2028second"}],
        "before": "plain",
        "after": "one\u2029two\x85three\0",
        "before_tokens": 1,
        "after_tokens": 5,
        "log_ratio": 0.5,
    }
    lines = json.dumps(sample, ensure_ascii=False) + "\n"
    (tmp_path / "samples.jsonl").write_text(lines * 2, "utf-8")
    job = jobs.claim(run.job_id)
    assert job is not None
    register_version(context=JobContext(job), run=run, output=tmp_path)
    kept = list(run.samples.order_by("position"))
    assert [row.policy_text for row in kept] == ["one\u2029two\x85three"] * 2
    assert kept[0].prompt_messages == sample["prompt"]
