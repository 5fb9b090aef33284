"""What is trained in each comparison, and on which tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.training import pandalm

STEPS = 51  # the first one warms up


@dataclass(frozen=True)
class Case:
    """One comparison: both sides train one model on the same tokens in the same order.

    bfloat16 means bfloat16 products with float32 weights, optimiser state and residuals on both
    sides: torch's autocast, which is what `bf16=True` is in TRL. With an adapter the frozen base is
    bfloat16 and the adapter float32. Both take AdamW (fused; betas 0.9 and 0.999, epsilon 1e-8, no
    decay) at a constant rate from the first step on, clip gradients at norm 1 and have no dropout.
    Prompts are cut before either side sees them and the end-of-turn token is scored. A case that is
    not timed only tells whether both sides' losses are one.
    """

    method: str
    dtype: str = "bfloat16"
    adapter: str = "full"
    data: str = "pandalm"  # or random words: long
    batch: int = 4  # examples a step
    timed: bool = True
    model: str = "smollm2"  # or a random one of the shape of Llama 3.2 1B: llama_1b
    device: str = "cpu"
    pass_tokens: int | None = None  # ours alone: most tokens computed at once

    @property
    def learning_rate(self) -> float:
        return 1e-5 if self.adapter == "lora" else 1e-6

    @property
    def is_reward(self) -> bool:
        return self.method.startswith("reward")


@dataclass(frozen=True)
class OnlineCase:
    """One comparison of methods that sample: the same prompts, in the same order, on both sides.

    Both sample at temperature 1 without a cut and give the same reward; both keep the reference in
    memory, for the KL has a weight. What they sample differs, and so do their losses; these are
    compared on our answers, given to both, in the precision that is timed and in float32.
    """

    method: str
    hyperparameters: dict[str, Any]
    dtype: str = "bfloat16"
    prompts: int = 1
    samples: int = 8  # TRL's own default
    max_new_tokens: int = 32
    learning_rate: float = 1e-6
    model: str = "smollm2"
    device: str = "cpu"


def write_rows(case: Case, path: Path, steps: int, count: Callable[[str], int]) -> None:
    """The case's rows in the order in which they are trained: batches of similar length, shuffled.

    That order is what TRL's group_by_length is for; ours gains less from it. `count` says how many
    tokens a text has.
    """
    rows = (
        long_pairs(steps * case.batch) if case.data == "long" else pandalm.pairs_of(pandalm.items())
    )
    if case.method == "kto":
        rows = [one for row in rows for one in _labelled(row)]
    rows.sort(key=lambda row: _length(row, count))
    size = case.batch
    batches = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    order = np.random.default_rng(0).permutation(len(batches))[:steps]
    if len(order) < steps:
        raise ValueError(f"The data hold {len(batches)} batches of {size} examples, not {steps}.")
    lines = [json.dumps(row) for number in order for row in batches[number]]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _length(row: dict[str, Any], count: Callable[[str], int]) -> int:
    """Tokens of the row's longest sequence, but for what the chat template adds to each."""
    prompt, *answers = (
        count(part[0]["content"]) for part in row.values() if isinstance(part, list)
    )
    return prompt + max(answers)


def prompts(count: int) -> list[list[dict[str, str]]]:
    """Different prompts of the pairs, short ones, in the order of the data."""
    found = {
        row["prompt"][0]["content"]: row["prompt"] for row in pandalm.pairs_of(pandalm.items())
    }
    short = [prompt for text, prompt in found.items() if len(text) <= 400]
    if len(short) < count:
        raise ValueError(f"The data hold {len(short)} short prompts, not {count}.")
    return short[:count]


def long_pairs(count: int) -> list[dict[str, Any]]:
    """Prompts of about 384 tokens with answers of about 64, of words of one token each."""
    words = ["time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child"]
    random = np.random.default_rng(1)
    return [
        _pair(*(" ".join(random.choice(words, length)) for length in (354, 63, 63)))
        for _ in range(count)
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
