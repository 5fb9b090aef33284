"""`python -m bench.training.ours TASK RUN.json OUT.json`: our side of a comparison.

`train` is our loop with its steps timed: the order of the data is the file's instead of a shuffled
one, as the peer's is, and nothing else is changed. `record` also writes the answers of an online
run, `tokens` what the peer trains on, `reward-model` what both start from, and `limit` how many
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
from training.alignment import batches, offline, online
from training.alignment.config import TrainingConfig
from training.alignment.journal import Journal
from training.alignment.memory import keep_few_kernels, reuse_freed_memory
from training.alignment.methods import get_method
from training.alignment.models import load_tokenizer, resolve_device
from training.alignment.objective import Objective
from training.alignment.reward_model import is_reward_model, load_reward_model, save_reward_model
from training.alignment.rollouts.transformers import TransformersSource
from training.alignment.run_data import load_examples
from training.alignment.supervision import StopRequest


def train(config: TrainingConfig, output: Path) -> None:
    clock, told = StepClock(), Journal.metrics

    def metrics(self: Journal, step: int, total: int, values: Mapping[str, Any]) -> None:
        told(self, step, total, values)
        if "loss" in values:
            clock.tick(float(values["loss"]), values)

    setattr(Journal, "metrics", metrics)  # noqa: B010  # what is replaced has another type
    batches._permutation = lambda seed, epoch, size: np.arange(size)  # type: ignore[assignment]
    Path(config.output_dir).mkdir(parents=True)
    accelerator = offline.make_accelerator(resolve_device(config.device))
    loop = online if get_method(config.method).loop == "online" else offline
    loop.train(config, accelerator, StopRequest())
    clock.write(output)


def record(config: TrainingConfig, output: Path) -> None:
    """Train, and write beside the figures what was asked and answered in each step."""
    steps, sample = [], TransformersSource.sample

    def recorded(self: TransformersSource, prompts: Any, **settings: Any) -> Any:
        groups = sample(self, prompts, **settings)
        rollouts = [rollout for group in groups for rollout in group]
        steps.append(
            {
                "prompts": [rollout.prompt.tolist() for rollout in rollouts],
                "completions": [rollout.completion.tolist() for rollout in rollouts],
            }
        )
        return groups

    setattr(TransformersSource, "sample", recorded)  # noqa: B010  # as above
    train(config, output)
    figures = json.loads(output.read_text())
    output.write_text(json.dumps(figures | {"answers": steps}))


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
    output.write_text(json.dumps(rows))


def write_reward_model(config: TrainingConfig, output: Path) -> None:
    """A language model with a new scalar head, so that both sides start from the same one."""
    if not is_reward_model(config.base_model):
        model = load_reward_model(
            config.base_model, dtype=torch.float32, device=torch.device("cpu"), seed=config.seed
        )
        save_reward_model(model, load_tokenizer(config.base_model), output)


def matrix_limit(config: TrainingConfig, seconds: float = 3.0) -> float:
    """Operations a second of products like those of the model's feed-forward layers, at best."""
    shape = json.loads((Path(config.base_model) / "config.json").read_text())
    inner, outer = shape["hidden_size"], shape["intermediate_size"]
    device, dtype = resolve_device(config.device), getattr(torch, config.dtype)
    rows = 1024 if device.type == "cpu" else 8192
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(inner, outer, device=device, dtype=dtype)
    operations, best, until = 2 * rows * inner * outer, 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        finish(device)
        began = time.monotonic()
        for _ in range(20):
            left @ right
        finish(device)
        best = max(best, 20 * operations / (time.monotonic() - began))
    return best


def finish(device: torch.device) -> None:
    """Wait for what a GPU was given to do, for it computes while Python goes on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    what, source, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    config = TrainingConfig.load(source)
    if what in ("train", "record"):
        keep_few_kernels()
        reuse_freed_memory()
        (train if what == "train" else record)(config, output)
    elif what == "tokens":
        write_tokens(config, output)
    elif what == "reward-model":
        write_reward_model(config, output)
    else:
        output.write_text(json.dumps(matrix_limit(config)))


if __name__ == "__main__":
    main()
