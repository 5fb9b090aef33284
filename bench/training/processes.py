"""What a comparison runs: each side in processes of its own, TRL's in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from training.alignment.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "var" / "bench"
TRL = "1.16.0"
VERIFIER = "vowels=bench.training.reward:vowels"


def cores() -> int:
    """How many cores this process may use; both sides take one thread for each."""
    return len(os.sched_getaffinity(0))


def ours(what: str, config: TrainingConfig, folder: Path, output: Path) -> Path:
    """One task of `bench.training.ours`; what it wrote."""
    given = folder / f"{output.stem}.run.json"
    given.write_text(config.to_json())
    _run([sys.executable, "-m", "bench.training.ours", what, str(given), str(output)])
    return output


def train_ours(config: TrainingConfig, folder: Path, name: str) -> dict[str, Any]:
    """The figures of one run of our loop, whose folder is gone afterwards."""
    run = folder / name
    values = json.loads(config.to_json()) | {"output_dir": str(run)}
    written = ours("train", TrainingConfig.from_dict(values), folder, folder / f"{name}.json")
    shutil.rmtree(run)
    return dict(json.loads(written.read_text()))


def train_theirs(script: str, case: dict[str, Any], folder: Path, name: str) -> dict[str, Any]:
    """The figures of one run of TRL's trainer."""
    figures, given = folder / f"{name}.json", folder / f"{name}.case.json"
    paths = {"figures": str(figures), "output_dir": str(folder / name)}
    given.write_text(json.dumps(case | paths | {"threads": cores()}))
    _run([str(peer_python()), str(ROOT / "bench" / "training" / script), str(given)])
    return dict(json.loads(figures.read_text()))


def matrix_limit(config: TrainingConfig, folder: Path) -> float:
    """Operations a second that this machine's matrix products reach now."""
    return float(json.loads(ours("limit", config, folder, folder / "limit.json").read_text()))


def peer_python() -> Path:
    """The interpreter of TRL's own environment, which is made the first time.

    PREFLOOP_TRL_PYTHON names one that is there already, for machines without a package index.
    """
    if given := os.environ.get("PREFLOOP_TRL_PYTHON"):
        return Path(given)
    folder = CACHE / f"trl-{TRL}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = [f"trl=={TRL}", "torch", "transformers", "accelerate", "peft"]
        constraints = ["-c", str(ROOT / "constraints.txt")]
        _run([str(python), "-m", "pip", "install", "--quiet", *constraints, *wanted])
        (folder / "ready").touch()
    return python


def base_model(name: str) -> Path:
    """The folder of the model that both sides start from."""
    return {"smollm2": smollm2, "llama_1b": llama_1b}[name]()


def llama_1b() -> Path:
    """A random model of the shape of Llama 3.2 1B with SmolLM2's tokenizer, made the first time."""
    folder = CACHE / "llama-1b"
    if not (folder / "config.json").exists():
        _run([sys.executable, "-m", "bench.training.random_llama", str(smollm2()), str(folder)])
    return folder


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a model folder, converted the first time."""
    folder = CACHE / "smollm2"
    if not (folder / "config.json").exists():
        _run([sys.executable, "-m", "training.alignment.convert", "--output", str(folder)])
    return folder


def _run(command: list[str]) -> None:
    settings = {"OMP_NUM_THREADS": str(cores()), "PREFLOOP_VERIFIERS": VERIFIER}
    environment = os.environ | settings | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        raise RuntimeError(f"{' '.join(command[1:4])} failed:\n{said}")
