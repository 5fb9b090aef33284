"""Trains a case with our loop and with TRL, in turns, and says what both took."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bench.training.cases import STEPS, Case, write_rows
from bench.training.figures import (
    AGREEMENT_STEPS,
    agreement,
    computed_operations,
    counts,
    median,
    resources,
    useful_operations,
    useful_tokens,
    weights_used,
)
from bench.training.processes import base_model, matrix_limit, ours, train_ours, train_theirs
from training.alignment.config import TrainingConfig

ROUNDS = 3


def compare(case: Case, *, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over alternating runs; `counts` false means that the losses are not one."""
    with tempfile.TemporaryDirectory(prefix="prefloop-bench-") as temporary:
        folder = Path(temporary)
        config, rows = prepare(case, folder, steps)
        peer = peer_case(config, rows, folder)
        limits: list[float] = []
        runs: dict[str, list[dict[str, Any]]] = {"prefloop": [], "trl": []}
        for number in range(rounds):
            limits.append(matrix_limit(config, folder))
            runs["prefloop"].append(train_ours(config, folder, f"ours-{number}"))
            runs["trl"].append(train_theirs("trl_peer.py", peer, folder, f"trl-{number}"))
        exact = [] if config.dtype == "float32" else _exact_losses(config, folder, steps)
        weights = weights_used(Path(config.base_model), projects=not case.is_reward)
        layers = weights_used(Path(config.base_model), projects=False)
    timed = rows[case.batch :]
    tokens, limit = useful_tokens(timed), max(limits)
    frozen = case.adapter == "lora"
    operations = useful_operations(timed, weights, frozen=frozen)
    # What TRL's kernels compute is not known here.
    computed = {"prefloop": computed_operations(timed, layers, weights - layers, frozen=frozen)}
    sides = {
        name: {
            "tokens_per_second": round(tokens / median(each, "seconds"), 1),
            "examples_per_second": round(len(timed) / median(each, "seconds"), 3),
            **resources(each, operations, limit, computed.get(name)),
        }
        for name, each in runs.items()
    }
    found = agreement(runs["prefloop"][0]["losses"], runs["trl"][0]["losses"], exact)
    return {
        **counts(found),
        **found,
        "steps": steps - 1,
        "rounds": rounds,
        "useful_tokens": tokens,
        "matrix_limit_gflops": round(limit / 1e9),
        **sides,
        **ratios(sides, "tokens_per_second"),
    }


def agree(case: Case, *, steps: int = AGREEMENT_STEPS) -> dict[str, Any]:
    """Whether both losses are one over a few steps, each side run once; nothing is timed."""
    with tempfile.TemporaryDirectory(prefix="prefloop-bench-") as temporary:
        folder = Path(temporary)
        config, rows = prepare(case, folder, steps)
        mine = train_ours(config, folder, "ours")
        other = train_theirs("trl_peer.py", peer_case(config, rows, folder), folder, "trl")
    return {"timed": False, **agreement(mine["losses"], other["losses"])}


def ratios(sides: dict[str, dict[str, Any]], speed: str) -> dict[str, float]:
    """Ours to TRL's: speed and memory."""
    mine, other = sides["prefloop"], sides["trl"]
    return {
        "times_as_fast": round(mine[speed] / other[speed], 2),
        "share_of_memory": round(mine["peak_mb"] / other["peak_mb"], 2),
    }


def prepare(case: Case, folder: Path, steps: int) -> tuple[TrainingConfig, list[dict[str, Any]]]:
    """Our configuration, and the tokens of each example in the order in which they are trained."""
    base = base_model(case.model)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    rows = folder / "rows.jsonl"
    write_rows(case, rows, steps, lambda text: len(tokenizer.encode(text).ids))
    values = {
        "method": case.method,
        "base_model": str(base),
        "train_file": str(rows),
        "output_dir": "-",
        "dtype": case.dtype,
        "adapter": case.adapter,
        "device": case.device,
        "pass_tokens": case.pass_tokens,
        "learning_rate": case.learning_rate,
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "lora_rank": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.0,
        "batch_size": case.batch,
        "gradient_accumulation": 1,
        "max_steps": steps,
        "max_length": 1024,
        "max_prompt_length": 512,
        "checkpoint_every": 10**6,
        "reference_cache": str(folder / "reference"),
        "seed": 0,
    }
    if case.is_reward:
        start = TrainingConfig.from_dict(values)
        values["base_model"] = str(ours("reward-model", start, folder, folder / "reward"))
    config = TrainingConfig.from_dict(values)
    written = ours("tokens", config, folder, folder / "tokens.json")
    return config, json.loads(written.read_text())


def peer_case(config: TrainingConfig, rows: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What TRL's side is told."""
    names = ("method", "dtype", "adapter", "base_model", "learning_rate", "batch_size", "max_steps")
    told = {name: getattr(config, name) for name in (*names, "device")}
    return {**told, "rows": rows, "data": str(folder / "data")}


def _exact_losses(config: TrainingConfig, folder: Path, steps: int) -> list[float]:
    """Our losses of the first steps on the same data in float32."""
    exact = replace(config, dtype="float32", max_steps=min(steps, AGREEMENT_STEPS))
    return list(train_ours(exact, folder, "exact")["losses"])
