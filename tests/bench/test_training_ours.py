"""Our side of a comparison, in small: what it times is the loop on the data in the file's order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.training.processes import ours, train_ours
from tests.training.alignment.tiny import write_model
from training.alignment.config import TrainingConfig


def _config(folder: Path, method: str, rows: list[dict[str, Any]], **values: Any) -> TrainingConfig:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TrainingConfig.from_dict(
        {
            "method": method,
            "base_model": str(write_model(folder / "model")),
            "train_file": str(folder / "rows.jsonl"),
            "output_dir": str(folder / "run"),
            "device": "cpu",
            "max_length": 128,
            "max_prompt_length": 64,
            **values,
        }
    )


def test_our_loop_is_timed_on_the_rows_in_their_order(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{number}?", "chosen": "yes" * (number + 1), "rejected": "no"}
        for number in range(6)
    ]
    config = _config(tmp_path, "dpo", rows, batch_size=2, gradient_accumulation=1)
    tokens = json.loads(ours("tokens", config, tmp_path, tmp_path / "tokens.json").read_text())
    assert [len(row["chosen_ids"]) for row in tokens] == [3 * number + 4 for number in range(6)]
    figures = train_ours(config, tmp_path, "ours-0")
    assert len(figures["losses"]) == 3
    # Longer answers are less probable: the last step trained the longest ones.
    told = [step["chosen_log_probability"] for step in figures["figures"]]
    assert told[0] > told[1] > told[2]
    assert figures["seconds"] > 0.0 < figures["peak_mb"]
    assert not (tmp_path / "ours-0").exists()


def test_an_online_run_tells_what_it_was_asked_and_answered(tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        "grpo",
        [{"prompt": f"{number}?"} for number in range(4)],
        batch_size=4,
        prompts_per_step=2,
        samples_per_prompt=2,
        max_new_tokens=5,
        max_steps=2,
        reward_sources={"vowels": {"kind": "verifier", "verifier": "vowels"}},
    )
    told = json.loads(ours("record", config, tmp_path, tmp_path / "told.json").read_text())
    assert len(told["losses"]) == len(told["answers"]) == 2
    assert all(len(step["completions"]) == 4 for step in told["answers"])
    assert {"seconds_generate", "seconds_score", "seconds_train"} <= set(told["figures"][1])
