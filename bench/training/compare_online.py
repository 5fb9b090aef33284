"""Trains on sampled answers with our loop and with TRL's, in turns, and says what a step took."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.training.cases import STEPS, OnlineCase, prompts
from bench.training.compare import ROUNDS, ratios
from bench.training.figures import (
    AGREEMENT,
    AGREEMENT_STEPS,
    COMPUTED,
    Run,
    agreement,
    apart,
    counts,
    median,
    resources,
    weights_used,
)
from bench.training.processes import base_model, matrix_limit, ours, train_ours, train_theirs
from training.alignment.config import TrainingConfig
from training.alignment.models import load_tokenizer
from training.alignment.tokenization import encode_prompt

SCRIPT = "trl_online_peer.py"
# What each side calls the same thing.
NAMES = {
    "prefloop": {"reward": "reward", "tokens": "completion_length", "entropy": "entropy"},
    "trl": {
        "reward": "rewards/reward/mean",
        "tokens": "completions/mean_length",
        "entropy": "entropy",
    },
}


def compare_online(case: OnlineCase, *, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over alternating runs; `counts` false means that the losses are not one.

    Losses are compared on our answers in the precision that is timed, and in float32 beside it.
    """
    with tempfile.TemporaryDirectory(prefix="prefloop-bench-") as temporary:
        folder = Path(temporary)
        config, peer = prepare(case, folder, steps)
        found = same_answers(config, peer, folder)
        if config.dtype != "float32":
            found["in_float32"] = same_answers(replace(config, dtype="float32"), peer, folder)
        limits: list[float] = []
        runs: dict[str, list[dict[str, Any]]] = {"prefloop": [], "trl": []}
        for number in range(rounds):
            limits.append(matrix_limit(config, folder))
            runs["prefloop"].append(train_ours(config, folder, f"ours-{number}"))
            runs["trl"].append(train_theirs(SCRIPT, peer, folder, f"trl-{number}"))
        weights = weights_used(Path(config.base_model), projects=True)
        layers = weights_used(Path(config.base_model), projects=False)
        asked = case.samples * tokens_of(peer["prompts"][case.prompts :], config.base_model)
    count = case.prompts * case.samples * (steps - 1)
    sides = {
        name: _side(each, NAMES[name], (asked, count, steps - 1), weights, max(limits))
        for name, each in runs.items()
    }
    mine = sides["prefloop"]
    written = mine["mean_tokens"] * count
    computed = computed_online(asked / case.samples, written, layers, weights - layers)
    # What TRL's kernels compute is not known here.
    seconds = mine["seconds_per_step"] * (steps - 1)
    mine[COMPUTED] = round(computed / seconds / max(limits), 3)
    return {
        **counts(found),
        **found,
        "steps": steps - 1,
        "rounds": rounds,
        "answers_per_step": case.prompts * case.samples,
        "max_new_tokens": case.max_new_tokens,
        "matrix_limit_gflops": round(max(limits) / 1e9),
        **sides,
        **ratios(sides, "steps_per_second"),
    }


def same_answers(config: TrainingConfig, peer: dict[str, Any], folder: Path) -> dict[str, Any]:
    """How far losses and gradients of the first steps differ where both learn from our answers."""
    name = f"recorded-{config.dtype}"
    steps = min(config.max_steps or AGREEMENT_STEPS, AGREEMENT_STEPS)
    run = replace(config, output_dir=str(folder / name), max_steps=steps)
    mine = json.loads(ours("record", run, folder, folder / f"{name}.json").read_text())
    firsts = {"dtype": config.dtype, "max_steps": steps, "answers": mine["answers"]}
    other = train_theirs(SCRIPT, {**peer, **firsts}, folder, f"given-{config.dtype}")
    return same(mine, other)


def same(mine: Run, other: Run) -> dict[str, Any]:
    """Agreement of losses and of gradients' norms, these relative to the other side's.

    RLOO's loss is zero before an update whatever the answers, so only its gradient tells.
    """
    firsts = [run["figures"][:AGREEMENT_STEPS] for run in (mine, other)]
    norms = [one["grad_norm"] / two["grad_norm"] for one, two in zip(*firsts, strict=True)]
    largest, _ = apart(norms, [1.0] * len(norms))
    found = agreement(mine["losses"], other["losses"])
    return {
        **found,
        "agrees": found["agrees"] and largest <= AGREEMENT,
        "largest_difference_of_gradient_norms": round(largest, 6),
    }


def tokens_of(prompts: Sequence[list[dict[str, str]]], base_model: str) -> int:
    tokenizer = load_tokenizer(base_model)
    return sum(len(encode_prompt(prompt, tokenizer)) for prompt in prompts)


def prepare(case: OnlineCase, folder: Path, steps: int) -> tuple[TrainingConfig, dict[str, Any]]:
    """Our configuration, and what TRL's side is told."""
    asked = prompts(steps * case.prompts)
    rows = folder / "prompts.jsonl"
    rows.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in asked), "utf-8")
    values = {
        "method": case.method,
        "base_model": str(base_model(case.model)),
        "train_file": str(rows),
        "output_dir": "-",
        "hyperparameters": case.hyperparameters,
        "dtype": case.dtype,
        "device": case.device,
        "learning_rate": case.learning_rate,
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "batch_size": case.prompts * case.samples,
        "prompts_per_step": case.prompts,
        "samples_per_prompt": case.samples,
        "max_new_tokens": case.max_new_tokens,
        "temperature": 1.0,
        "reward_sources": {"vowels": {"kind": "verifier", "verifier": "vowels"}},
        "max_steps": steps,
        "checkpoint_every": 10**6,
        "seed": 0,
    }
    config = TrainingConfig.from_dict(values)
    names = ("method", "dtype", "base_model", "learning_rate", "max_steps", "prompts_per_step")
    more = ("samples_per_prompt", "max_new_tokens", "device")
    peer = {name: getattr(config, name) for name in names + more}
    return config, {**peer, "prompts": asked, "beta": case.hyperparameters["beta"]}


def _side(
    runs: Sequence[Run],
    names: dict[str, str],
    sizes: tuple[int, int, int],
    weights: int,
    limit: float,
) -> dict[str, Any]:
    """One side's figures; `sizes` are the prompts' tokens, the answers and the steps of a run.

    Useful operations: 2 N a token for writing it (a prompt counts for each answer), 2 N for the
    reference and 6 N for training.
    """
    asked, count, steps = sizes
    seconds = median(runs, "seconds") / steps
    written = _mean(runs, names["tokens"]) * count
    parts = {part: _mean(runs, f"seconds_{part}") for part in ("generate", "score")}
    parts["train"] = statistics.fmean(run["seconds"] for run in runs) / steps - sum(parts.values())
    return {
        "seconds_per_step": round(seconds, 3),
        "steps_per_second": round(1 / seconds, 4),
        **{f"seconds_{part}": round(value, 3) for part, value in parts.items()},
        "new_tokens_per_second": round(written / (seconds * steps), 1),
        **{f"mean_{what}": round(_mean(runs, name), 4) for what, name in names.items()},
        **resources(runs, 10.0 * weights * (asked + written), limit),
    }


def computed_online(prompts: float, written: float, layers: int, projection: int) -> float:
    """What ours computes, of so many tokens: a prompt once for its answers, the vocabulary for
    these alone. 2 N for writing, 4 N for scoring under policy and reference, 6 N for training."""
    return 12.0 * (layers * (prompts + written) + projection * written)


def _mean(runs: Sequence[Run], name: str) -> float:
    """Over the steps that are timed."""
    return statistics.fmean(step[name] for run in runs for step in run["figures"][1:])
