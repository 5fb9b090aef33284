"""What is trained in each comparison, and on which tokens."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 51  # the first one warms up
BATCH = 4


@dataclass(frozen=True)
class Case:
    """One comparison: both sides train the same model on the same tokens in the same order."""

    name: str
    method: str
    dtype: str = "bfloat16"
    adapter: str = "full"
    data: str = "pandalm"  # or random tokens: long
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float:
        return 1e-5 if self.adapter == "lora" else 1e-6


def write_rows(case: Case, path: Path, steps: int) -> None:
    """The case's rows in the order in which they are trained: batches of similar length, shuffled.

    That order is what TRL's group_by_length is for; ours gains less from it.
    """
    rows = long_pairs(steps) if case.data == "long" else pandalm_pairs()
    rows.sort(key=lambda row: len(row["prompt"]) + max(len(row["chosen"]), len(row["rejected"])))
    if case.method == "kto":
        rows = [one for row in rows for one in _labelled(row)]
    batches = [rows[start : start + BATCH] for start in range(0, len(rows) - BATCH + 1, BATCH)]
    order = np.random.default_rng(0).permutation(len(batches))[:steps]
    if len(order) < steps:
        raise ValueError(f"{case.name}: the data hold {len(batches)} batches, not {steps}")
    lines = [json.dumps(row) for number in order for row in batches[number]]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def pandalm_pairs() -> list[dict[str, Any]]:
    """The pairs of PandaLM's test set that two of three annotators decided."""
    folder = os.environ.get("PREFLOOP_TEST_DATA")
    if folder is None:
        raise RuntimeError("PREFLOOP_TEST_DATA must name the folder that holds pandalm/")
    rows = []
    for item in json.loads((Path(folder) / "pandalm" / "testset-v1.json").read_text("utf-8")):
        votes = [str(item[f"annotator{number}"]) for number in (1, 2, 3)]
        winner = next((side for side in "12" if votes.count(side) >= 2), None)
        answers = {side: str(item[f"response{side}"]).strip() for side in "12"}
        if winner is None or not all(answers.values()):
            continue
        text = item["instruction"] + ("\n\n" + item["input"] if item["input"] else "")
        rows.append(_pair(text, answers[winner], answers["21"[int(winner) - 1]]))
    return rows


def long_pairs(steps: int) -> list[dict[str, Any]]:
    """Prompts of about 384 tokens with answers of about 64, of words of one token each."""
    words = ["time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child"]
    random = np.random.default_rng(1)
    return [
        _pair(*(" ".join(random.choice(words, count)) for count in (354, 63, 63)))
        for _ in range(steps * BATCH)
    ]


def _pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }


def _labelled(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for side in ("chosen", "rejected")
    ]
