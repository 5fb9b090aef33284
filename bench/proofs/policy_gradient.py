"""Each policy-gradient method raises its reward on a small sequence task, over ten seeds.

A random Llama of two layers answers prompts with at most eight bytes; the reward is the share of
vowels among them. A method has learned when the mean reward of its last five steps exceeds that of
its first five by a tenth. Every seed draws its own model, order and samples.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.load.labeling import say
from tests.training.alignment import tiny
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from training.alignment.config import TrainingConfig
from training.alignment.offline import make_accelerator
from training.alignment.online import train
from training.alignment.supervision import StopRequest

SEEDS, STEPS = 10, 40
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "reinforce": ("reinforce", {"beta": 0.01}),
    "rloo": ("rloo", {"beta": 0.01}),
    "rloo, sequence clip": (
        "rloo", {"beta": 0.01, "objective": "sequence_clip", "epochs_per_batch": 2},
    ),
    "ppo": ("ppo", {"kl_coefficient": 0.01, "epochs_per_batch": 2}),
    "ppo, Ziegler": (
        "ppo",
        {"kl_coefficient": 0.01, "epochs_per_batch": 2, "kl_controller": "ziegler",
         "kl_target": 10.0, "kl_horizon": 1000.0},
    ),
    "ppo_ptx": (
        "ppo_ptx",
        {"kl_coefficient": 0.01, "epochs_per_batch": 2, "ptx_coefficient": 0.1, "ptx_examples": 1},
    ),
    "grpo": ("grpo", {"beta": 0.01}),
    "grpo, token mean": ("grpo", {"beta": 0.01, "reduction": "token", "clip_high": 0.28}),
    "Dr. GRPO": ("grpo", {"beta": 0.01, "reduction": "dr_grpo", "advantage_scale": "none"}),
}  # fmt: skip


def run() -> dict[str, Any]:
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, (method, hyperparameters) in METHODS.items():
        say(f"{name}: {SEEDS} seeds")
        runs = [curve(method, hyperparameters, seed=seed) for seed in range(SEEDS)]
        figures[name] = [{"first": first(rewards), "last": last(rewards)} for rewards, _ in runs]
        learned = sum(last(rewards) > first(rewards) + 0.1 for rewards, _ in runs)
        assert learned == SEEDS, f"{name} learned with {learned} of {SEEDS} seeds"
    return {"steps": STEPS, "seeds": SEEDS, "reward": figures}


def curve(
    method: str, hyperparameters: Mapping[str, Any], *, seed: int, steps: int = STEPS
) -> tuple[list[float], list[float]]:
    """Reward and KL of each step."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = TrainingConfig.from_dict(_settings(home, method, hyperparameters, seed, steps))
        (home / "run").mkdir()
        toys = sources(Reward("vowels", share_of("aeiou")))
        train(config, make_accelerator(torch.device("cpu")), StopRequest(), toys)
        lines = (home / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line)["metrics"] for line in lines]
    return [row["reward"] for row in rows], [row["kl_k3"] for row in rows]


def first(rewards: Sequence[float]) -> float:
    return float(np.mean(rewards[:5]))


def last(rewards: Sequence[float]) -> float:
    return float(np.mean(rewards[-5:]))


def _settings(
    home: Path, method: str, hyperparameters: Mapping[str, Any], seed: int, steps: int
) -> dict[str, Any]:
    texts = [{"prompt": "", "completion": f"Text number {number}."} for number in range(8)]
    return {
        "method": method,
        "hyperparameters": hyperparameters,
        "base_model": str(tiny.write_model(home / "model", seed=seed)),
        "train_file": str(write_prompts(home / "prompts.jsonl", 16)),
        "ptx_file": str(tiny.write_lines(home / "ptx.jsonl", texts)),
        "output_dir": str(home / "run"),
        "seed": seed,
        "device": "cpu",
        "learning_rate": 3e-3,
        "warmup_steps": 0,
        "epochs": 1000.0,
        "max_steps": steps,
        "batch_size": 64,
        "prompts_per_step": 8,
        "samples_per_prompt": 4,
        "max_new_tokens": 8,
        "max_prompt_length": 40,
        "max_length": 64,
        "checkpoint_every": 1000,
    }
