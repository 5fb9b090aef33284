"""Trains a case with our loop and with TRL, in turns, and says what both took."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from bench.training.cases import BATCH, STEPS, Case, write_rows
from training.alignment.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "var" / "bench"
TRL = "1.16.0"
ROUNDS = 3
# Over how many steps the two losses must agree, and how closely.
AGREEMENT_STEPS, AGREEMENT = 20, 1e-3


def compare(case: Case, *, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over alternating runs; `agrees` false means that the figures do not count."""
    folder = Path(tempfile.mkdtemp(prefix="prefloop-bench-"))
    try:
        config, peer = _prepare(case, folder, steps)
        python = peer_python()
        ours, theirs, limits = [], [], []
        for number in range(rounds):
            limits.append(_limit(config, folder))
            ours.append(_ours(config, folder, number))
            theirs.append(_theirs(peer, python, folder, number))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tokens = useful_tokens(peer["rows"][BATCH:])
    work = useful_operations(case, config, peer["rows"][BATCH:])
    examples = len(peer["rows"]) - BATCH
    first = [runs[0]["losses"][:AGREEMENT_STEPS] for runs in (ours, theirs)]
    apart = max(abs(mine - other) for mine, other in zip(*first, strict=True))
    means = abs(statistics.fmean(first[0]) - statistics.fmean(first[1]))
    sides = {
        name: _figures(runs, tokens, examples, work, max(limits))
        for name, runs in (("prefloop", ours), ("trl", theirs))
    }
    mine, other = sides["prefloop"], sides["trl"]
    return {
        "steps": steps - 1,
        "rounds": rounds,
        "useful_tokens": tokens,
        "largest_difference_of_first_losses": round(apart, 6),
        "difference_of_mean_first_losses": round(means, 6),
        "agrees": apart <= AGREEMENT,
        "matrix_limit_gflops": round(max(limits) / 1e9),
        **sides,
        "times_as_fast": round(mine["tokens_per_second"] / other["tokens_per_second"], 2),
        "share_of_memory": round(mine["peak_mb"] / other["peak_mb"], 2),
    }


def _figures(
    runs: list[dict[str, Any]], tokens: int, examples: int, work: float, limit: float
) -> dict[str, Any]:
    seconds = statistics.median(run["seconds"] for run in runs)
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "examples_per_second": round(examples / seconds, 3),
        "seconds_of_each_run": [round(run["seconds"], 1) for run in runs],
        "cpu_seconds_of_each_run": [round(run["cpu_seconds"], 1) for run in runs],
        "peak_mb": round(statistics.median(run["peak_mb"] for run in runs)),
        "share_of_matrix_limit": round(work / seconds / limit, 3),
    }


def useful_tokens(rows: list[dict[str, Any]]) -> int:
    """Tokens without padding, each sequence with its prompt, as both sides are asked to score."""
    return sum(
        len(row["prompt_ids"]) + len(ids)
        for row in rows
        for name, ids in row.items()
        if name.endswith("_ids") and name != "prompt_ids"
    )


def useful_operations(case: Case, config: TrainingConfig, rows: list[dict[str, Any]]) -> float:
    """6 N a trained token, 4 N where the weights are frozen, 2 N where nothing is trained."""
    sizes = json.loads((Path(config.base_model) / "config.json").read_text())
    embeddings = sizes["vocab_size"] * sizes["hidden_size"]
    weights = parameters(Path(config.base_model)) - embeddings * (case.method.startswith("reward"))
    scored = [{key: value for key, value in row.items() if key != "mismatched_ids"} for row in rows]
    trained = useful_tokens(scored)
    looked_at = useful_tokens(rows) - trained
    return float(weights * (trained * (4 if case.adapter == "lora" else 6) + 2 * looked_at))


def parameters(folder: Path) -> int:
    """Numbers in a model folder's safetensors files, by their headers."""
    count = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as content:
            size = int.from_bytes(content.read(8), "little")
            header = json.loads(content.read(size))
        for name, tensor in header.items():
            if name != "__metadata__":
                numbers = 1
                for side in tensor["shape"]:
                    numbers *= side
                count += numbers
    return count


def _prepare(case: Case, folder: Path, steps: int) -> tuple[TrainingConfig, dict[str, Any]]:
    rows = folder / "rows.jsonl"
    write_rows(case, rows, steps)
    values = {
        "method": case.method,
        "base_model": str(smollm2()),
        "train_file": str(rows),
        "output_dir": "-",
        "hyperparameters": case.hyperparameters,
        "dtype": case.dtype,
        "adapter": case.adapter,
        "device": "cpu",
        "learning_rate": case.learning_rate,
        "schedule": "constant",
        "warmup_steps": 0,
        "batch_size": BATCH,
        "gradient_accumulation": 1,
        "max_steps": steps,
        "max_length": 1024,
        "max_prompt_length": 512,
        "checkpoint_every": 10**6,
    }
    if case.method.startswith("reward"):
        _child("reward-model", TrainingConfig.from_dict(values), folder, folder / "reward")
        values["base_model"] = str(folder / "reward")
    config = TrainingConfig.from_dict(values)
    _child("tokens", config, folder, folder / "tokens.json")
    peer = {
        **{name: getattr(config, name) for name in ("method", "dtype", "adapter", "base_model")},
        "learning_rate": case.learning_rate,
        "batch_size": BATCH,
        "steps": steps,
        "threads": os.cpu_count(),
        "rows": json.loads((folder / "tokens.json").read_text())["rows"],
    }
    return config, peer


def _ours(config: TrainingConfig, folder: Path, number: int) -> dict[str, Any]:
    values = json.loads(config.to_json()) | {"output_dir": str(folder / f"ours-{number}")}
    output = folder / f"ours-{number}.json"
    _child("train", TrainingConfig.from_dict(values), folder, output)
    shutil.rmtree(folder / f"ours-{number}")
    return dict(json.loads(output.read_text()))


def _limit(config: TrainingConfig, folder: Path) -> float:
    _child("limit", config, folder, folder / "limit.json")
    return float(json.loads((folder / "limit.json").read_text()))


def _child(what: str, config: TrainingConfig, folder: Path, output: Path) -> None:
    given = folder / f"{what}.run.json"
    given.write_text(config.to_json())
    _run([sys.executable, "-m", "bench.training.ours", what, str(given), str(output)])


def _theirs(peer: dict[str, Any], python: Path, folder: Path, number: int) -> dict[str, Any]:
    figures = folder / f"trl-{number}.json"
    given = folder / "trl.case.json"
    paths = {"figures": str(figures), "output_dir": str(folder / f"trl-{number}")}
    given.write_text(json.dumps(peer | paths))
    _run([str(python), str(ROOT / "bench" / "training" / "trl_peer.py"), str(given)])
    return dict(json.loads(figures.read_text()))


def _run(command: list[str]) -> None:
    threads = str(os.cpu_count())
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": threads}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command[1:3])} failed:\n{done.stdout}\n{done.stderr[-4000:]}"
        )


def peer_python() -> Path:
    """The interpreter of TRL's own environment, which is made the first time."""
    folder = CACHE / f"trl-{TRL}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = [f"trl=={TRL}", "torch", "transformers", "accelerate", "peft"]
        constraints = ["-c", str(ROOT / "constraints.txt")]
        _run([str(python), "-m", "pip", "install", "--quiet", *constraints, *wanted])
        (folder / "ready").touch()
    return python


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a model folder, converted the first time."""
    folder = CACHE / "smollm2"
    if not (folder / "config.json").exists():
        _run([sys.executable, "-m", "training.alignment.convert", "--output", str(folder)])
    return folder
