import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method

WRITERS = {
    "pairs": tiny.write_pairs,
    "binary": tiny.write_binary,
    "lists": tiny.write_lists,
    "demonstrations": tiny.write_demonstrations,
    "prompts": tiny.write_pairs,
}
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The same sums in the same order in every process, and a fair share of the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def make_config(tmp_path: Path, model_folder: Path) -> Callable[..., TrainingConfig]:
    """A quick run on toy data; a test changes what it is about."""

    def make(**changes: Any) -> TrainingConfig:
        write = WRITERS[get_method(changes.get("method", "dpo")).data]
        values = {
            "method": "dpo",
            "base_model": str(model_folder),
            "train_file": str(write(tmp_path / "train.jsonl", 24)),
            "held_out_file": str(write(tmp_path / "held_out.jsonl", 12, offset=24)),
            "output_dir": str(tmp_path / "run"),
            "device": "cpu",
            "learning_rate": 1e-3,
            "warmup_steps": 2,
            "max_steps": 6,
            "batch_size": 2,
            "gradient_accumulation": 2,
            "max_length": 64,
            "max_prompt_length": 48,
            "checkpoint_every": 2,
            "evaluate_every": 3,
            "sample_prompts": 0,
            "epochs": 100.0,
        }
        config = TrainingConfig.from_dict({**values, **changes})
        Path(config.output_dir).mkdir(exist_ok=True)
        return config

    return make


@pytest.fixture
def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start a real training process on a configuration."""

    def start(config: TrainingConfig, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        path = tmp_path / "given.json"
        path.write_text(config.to_json(), "utf-8")
        launcher = arguments or (sys.executable, "-m", "training.alignment.train")
        return subprocess.Popen(
            [*launcher, "--config", str(path)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    return start


def read_metrics(config: TrainingConfig) -> list[dict[str, Any]]:
    text = (Path(config.output_dir) / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def losses(config: TrainingConfig) -> dict[int, float]:
    return {
        line["step"]: line["metrics"]["loss"]
        for line in read_metrics(config)
        if "loss" in line["metrics"]
    }
