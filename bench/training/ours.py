"""`python -m bench.training.ours RUN.json OUT.json`: our loop, its steps timed.

The order of the data is the file's instead of a shuffled one, as the peer's is; nothing else of the
loop is changed. With --tokens it writes what the peer trains on, and with --limit how many
operations a second this machine's matrix products reach.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.training.clock import StepClock
from training.alignment import batches, offline
from training.alignment.config import TrainingConfig
from training.alignment.journal import Journal
from training.alignment.memory import reuse_freed_memory
from training.alignment.models import fingerprint, load_tokenizer
from training.alignment.objective import Objective
from training.alignment.reward_model import is_reward_model, load_reward_model, save_reward_model
from training.alignment.run_data import load_examples
from training.alignment.supervision import StopRequest


def train(config: TrainingConfig, output: Path) -> None:
    clock, told = StepClock(), Journal.metrics

    def metrics(self: Journal, step: int, total: int, values: Mapping[str, Any]) -> None:
        told(self, step, total, values)
        if "loss" in values:
            clock.tick(float(values["loss"]))

    setattr(Journal, "metrics", metrics)  # noqa: B010  # what is replaced has another type
    batches._permutation = lambda seed, epoch, size: np.arange(size)  # type: ignore[assignment]
    Path(config.output_dir).mkdir(parents=True)
    accelerator = offline.make_accelerator(torch.device("cpu"))
    offline.train(config, accelerator, StopRequest())
    clock.write(output)


def write_tokens(config: TrainingConfig, output: Path) -> None:
    """Each example's tokens by role, as the peer's collators name them."""
    tokenizer = load_tokenizer(config.base_model)
    objective = Objective.from_config(config)
    examples, _ = load_examples(config, objective, tokenizer, config.train_file)
    rows = []
    for example in examples:
        sequences = example.sequences
        row: dict[str, Any] = {
            f"{role}_ids": sequence.completion.tolist() for role, sequence in sequences.items()
        }
        first = next(iter(sequences.values()))
        rows.append({"prompt_ids": first.prompt.tolist(), **row, "label": bool(example.target)})
    output.write_text(json.dumps({"rows": rows, "model": fingerprint(config.base_model)}))


def write_reward_model(config: TrainingConfig, output: Path) -> None:
    """A language model with a new scalar head, so that both sides start from the same one."""
    if not is_reward_model(config.base_model):
        model = load_reward_model(
            config.base_model, dtype=torch.float32, device=torch.device("cpu"), seed=config.seed
        )
        save_reward_model(model, load_tokenizer(config.base_model), output)


def matrix_limit(dtype: torch.dtype, seconds: float = 3.0) -> float:
    """Operations a second of products like those of the model's feed-forward layers, at best."""
    left, right = torch.randn(1024, 576).to(dtype), torch.randn(576, 1536).to(dtype)
    operations, best, until = 2 * 1024 * 576 * 1536, 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        for _ in range(20):
            left @ right
        best = max(best, 20 * operations / (time.monotonic() - began))
    return best


def main() -> None:
    what, source, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    config = TrainingConfig.load(source)
    if what == "train":
        reuse_freed_memory()
        train(config, output)
    elif what == "tokens":
        write_tokens(config, output)
    elif what == "reward-model":
        write_reward_model(config, output)
    else:
        output.write_text(json.dumps(matrix_limit(getattr(torch, config.dtype))))


if __name__ == "__main__":
    main()
