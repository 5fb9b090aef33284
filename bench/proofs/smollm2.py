"""SmolLM2 trained on PandaLM's human judgments from the command line, method by method.

- Offline methods, each evaluated on prompts that it has not seen.
- A reward model, its held-out accuracy beside how often the annotators agree with one another.
- GRPO and PPO against that reward model: the reward rises, and the KL stays within its budget.

Every run is `python -m training.alignment.train --config run.json`, and every figure is read from
what that run wrote. Short pairs are taken, so that a step takes seconds on two cores. With
PREFLOOP_PROOF_FOLDER the runs are kept there, and one that is finished is not run again unless its
settings or data have changed; when and by which commit it was trained stands with its figures.

Only figures whose 95 % interval leaves zero out are called shown. Methods that eight steps do not
show take more, and are judged by what their own loss moves (`bench/training/quantities.py`).
An offline method that is sure to have moved the wrong way fails, and so do a reward model at chance
and an online method whose reward does not rise.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from bench.__main__ import ROOT
from bench.load.labeling import say
from bench.training import kept, pandalm
from bench.training.kept import Launch
from bench.training.processes import smollm2
from bench.training.quantities import quantity

Rows = Sequence[Mapping[str, Any]]

# Characters of a prompt and both its answers; shorter ones for the reward model and its use.
LONGEST, SHORTER = 500, 350
# Each with its own defaults but for the learning rate: a few steps must show.
OFFLINE = (
    "sft", "dpo", "cdpo", "robust_dpo", "ipo", "dpop", "simpo", "orpo", "cpo", "slic_hf", "kto",
)  # fmt: skip
ONLINE: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"beta": 0.06},
    "ppo": {"kl_coefficient": 0.02, "epochs_per_batch": 2},
}
# Steps of those that eight do not show, each on pairs of its own: AdamW divides a loss's size out
# again, so that more pairs help and a higher rate does not. Robust DPO's margin grew as DPO's with
# half as much again of noise; ORPO, CPO and DPOP begin as imitation, and moved as far as SFT. SimPO
# weighs a short answer as a long one, and half of SLiC-HF's push is imitation: they need the most.
LONGER: Mapping[str, int] = {
    "robust_dpo": 24, "dpop": 24, "orpo": 24, "cpo": 24, "simpo": 40, "slic_hf": 40,
}  # fmt: skip
CASES = (*OFFLINE, "reward_model", *ONLINE)


@dataclass(frozen=True)
class Setting:
    """What is trained on what; the mappings go into the runs' configurations."""

    base_model: Path
    train: Rows
    held_out: Rows
    policy_pairs: int
    policy_held_out: int
    prompts: int
    policy: Mapping[str, Any]
    reward: Mapping[str, Any]
    online: Mapping[str, Any]
    longer: Mapping[str, int] = field(default_factory=dict)
    longer_held_out: int = 0


def run(case: str) -> dict[str, Any]:
    if case in OFFLINE:
        figures = offline(_setting(LONGEST), home(), case)
        check_offline(case, figures)
        return figures
    setting = _setting(SHORTER)
    # Finished runs are not run again, so this costs nothing after the case of its own.
    figures = reward_model(setting, home())
    check_reward_model(figures)
    if case == "reward_model":
        return figures | annotators()
    figures = online(setting, home(), case)
    check_online(figures["summary"])
    return figures


def annotators() -> dict[str, Any]:
    """How often two annotators agree: on the held-out pairs, and on all of the held-out prompts.

    Pairs are chosen for their votes: an item is one only when two annotators preferred the same
    answer. So their agreement alone would not tell that of the annotators.
    """
    _, pairs = pandalm.split(pandalm.short(SHORTER))
    _, everything = pandalm.split(pandalm.items())
    return {
        "annotators_on_these_pairs": pandalm.agreement(pairs),
        "annotators_on_all_items_of_held_out_prompts": {
            "items": len(everything),
            **pandalm.agreement(everything),
        },
    }


@cache
def home() -> Path:
    """Where the runs lie: one folder for all cases of a process, gone at its end unless named."""
    kept = os.environ.get("PREFLOOP_PROOF_FOLDER")
    folder = Path(kept or tempfile.mkdtemp(prefix="prefloop-proof-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not kept:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _setting(longest: int) -> Setting:
    return full(*map(pandalm.pairs_of, pandalm.split(pandalm.short(longest))))


def full(train: Rows, held_out: Rows) -> Setting:
    shared = {"device": "cpu", "dtype": "bfloat16", "max_length": 384, "max_prompt_length": 192}
    offline = {**shared, "gradient_accumulation": 1, "checkpoint_every": 1000, "warmup_steps": 2}
    return Setting(
        base_model=smollm2(),
        train=train,
        held_out=held_out,
        policy_pairs=64,
        policy_held_out=24,
        prompts=4,
        policy={
            **offline,
            "batch_size": 8,
            "learning_rate": 1e-5,
            "evaluation_limit": 8,
            "evaluate_every": 1000,
            "sample_prompts": 4,
            "sample_max_new_tokens": 24,
        },
        reward={
            **offline,
            "batch_size": 8,
            "learning_rate": 5e-5,
            "epochs": 2,
            "schedule": "cosine",
            "evaluation_limit": 16,
            "evaluate_every": 1000,
        },
        online={
            **shared,
            "batch_size": 32,
            "learning_rate": 1e-4,
            "prompts_per_step": 4,
            "samples_per_prompt": 8,
            "max_new_tokens": 16,
            "epochs": 1000,
            "max_steps": 12,
            "kl_budget": 10.0,
            "checkpoint_every": 1000,
        },
        longer=LONGER,
        longer_held_out=72,
    )


def command_line(config: Path) -> None:
    """Train as a person would; raises with the run's own words when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "training.alignment.train", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{config} failed:\n{done.stderr[-4000:]}")


def offline(
    setting: Setting, home: Path, method: str, launch: Launch = command_line
) -> dict[str, Any]:
    """Its evaluation on held-out pairs after the same few steps on the same pairs as the others, or
    after more of both where it needs them."""
    steps = setting.longer.get(method, 0)
    pairs = steps * setting.policy["batch_size"] or setting.policy_pairs
    held, name = (setting.longer_held_out, f"{steps}-") if steps else (setting.policy_held_out, "")
    say(f"{method}: {pairs} pairs")
    data = {
        "train_file": _write(home / f"{name}policy.jsonl", setting.train[:pairs]),
        "held_out_file": _write(home / f"{name}held.jsonl", setting.held_out[:held]),
        "reference_cache": str(home / "reference"),
        "convert_data": True,
    }
    output = _train(setting, home, method, launch, {**data, **setting.policy})
    told = described(_json(output / "evaluation.json"), method) | _pace(output)
    return told | {"trained": kept.provenance(output)}


def reward_model(setting: Setting, home: Path, launch: Launch = command_line) -> dict[str, Any]:
    """Accuracy and margin on held-out pairs, with 95 % intervals that resample prompts."""
    say(f"reward model: {len(setting.train)} pairs")
    data = {
        "train_file": _write(home / "train.jsonl", setting.train),
        "held_out_file": _write(home / "held_out.jsonl", setting.held_out),
    }
    values = {**data, **setting.reward}
    output = _train(setting, home, "reward_bradley_terry", launch, values)
    held_out = _json(output / "evaluation.json")["held_out"]
    return {
        "accuracy": _rounded(held_out["accuracy"]["value"]),
        "accuracy_95": [_rounded(held_out["accuracy"][end]) for end in ("low", "high")],
        "train_pairs": len(setting.train),
        "held_out_pairs": held_out["examples"],
        "held_out_prompts": held_out["prompts"],
        **_pace(output),
        "trained": kept.provenance(output),
    }


def online(
    setting: Setting, home: Path, method: str, launch: Launch = command_line
) -> dict[str, Any]:
    """Reward and KL of each step, against the reward model trained before."""
    say(f"{method}: {setting.online['max_steps']} updates")
    rewards = home / "reward_bradley_terry"
    scorer = str(rewards / "model")
    prompts = list({json.dumps(row["prompt"]): row["prompt"] for row in setting.train}.values())
    values = {
        "train_file": _write(
            home / "prompts.jsonl", [{"prompt": one} for one in prompts[: setting.prompts]]
        ),
        "reward_sources": {"helpful": {"kind": "reward_model", "folders": [scorer]}},
        "hyperparameters": dict(ONLINE[method]),
        **setting.online,
    }
    critic = {"value_model": scorer} if method == "ppo" else {}
    output = _train(setting, home, method, launch, values | critic, after=rewards)
    summary = _summary(output) | {"kl_budget": setting.online["kl_budget"]}
    return {
        "summary": summary,
        "curves": _curves(output),
        "reward_model_commit": kept.provenance(rewards)["commit"],
        "trained": kept.provenance(output),
    }


def check_offline(method: str, told: Mapping[str, Any]) -> None:
    """Raises where the whole interval lies below zero; one that includes zero shows nothing."""
    _, high = told["moved_95"]
    assert high is None or high >= 0.0, (method, told)


def check_reward_model(told: Mapping[str, Any]) -> None:
    assert told["accuracy_95"][0] > 0.5, told


def check_online(told: Mapping[str, Any]) -> None:
    assert told["rise"] > 2.0 * told["rise_error"], told
    assert told["largest_kl"] < told["kl_budget"], told


def _train(
    setting: Setting,
    home: Path,
    method: str,
    launch: Launch,
    values: Mapping[str, Any],
    after: Path | None = None,
) -> Path:
    own = {
        "method": method,
        "base_model": str(setting.base_model),
        "output_dir": str(home / method),
    }
    return kept.trained({**values, **own}, launch, after)


def described(evaluation: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Accuracy by the method's own reward, how far log-probabilities moved, KL and perplexity.

    `moved_95` is the interval of what `moved` names, which moved `by` so much, the better way up;
    it is `shown` when it lies above zero.
    """
    held_out, perplexity = evaluation["held_out"], evaluation["perplexity"]
    sides = {side: _moved(evaluation, side) for side in ("chosen", "rejected")}
    own = quantity(method, evaluation)
    by, low, high = map(_rounded, own.improved(evaluation))
    return {
        "accuracy_before": _value(held_out, "accuracy_before"),
        "accuracy": _value(held_out, "accuracy"),
        "reward_margin": _value(held_out, "reward_margin"),
        "chosen_moved": _rounded(sides["chosen"]),
        "rejected_moved": _rounded(sides["rejected"]),
        "margin_moved": _value(held_out, "log_ratio_margin"),
        "moved": own.name,
        "by": by,
        "moved_95": [low, high],
        "shown": low is not None and low > 0.0,
        "perplexity_before": _value(perplexity, "before"),
        "perplexity": _value(perplexity, "after"),
        "kl_of_samples": _value(evaluation["kl"], "k1"),
    }


def _moved(evaluation: Mapping[str, Any], side: str) -> float | None:
    """Mean change of a side's log-probability in nats; lone answers are told by their label."""
    if side in evaluation["movement"]:
        value: float = evaluation["movement"][side]["difference"]["value"]
        return value
    ratio: float | None = evaluation["held_out"].get(f"log_ratio_{side}", {}).get("value")
    return ratio


def _summary(output: Path) -> dict[str, Any]:
    """How far the reward of the last third of the steps stands above that of the first.

    The error is that of the difference of both means, by the spread within each third.
    """
    rewards = [step["reward"] for step in _steps(output)]
    # After the last update: each step measures the policy of those before it. Runs that were kept
    # from before this was measured have none.
    final = _lines(output)[-1]["metrics"].get("final_kl_k3")
    kl = [step["kl_k3"] for step in _steps(output)]
    third = len(rewards) // 3
    first, last = rewards[:third], rewards[-third:]
    error = ((stdev(first) ** 2 + stdev(last) ** 2) / third) ** 0.5
    return {
        "first_third": _rounded(mean(first)),
        "last_third": _rounded(mean(last)),
        "rise": _rounded(mean(last) - mean(first)),
        "rise_error": _rounded(error),
        "largest_kl": _rounded(max(kl if final is None else [*kl, final])),
        "final_kl": _rounded(final),
        **_pace(output),
    }


def _curves(output: Path) -> dict[str, list[float | None]]:
    """Reward, KL to the reference in nats an answer and tokens an answer, step by step."""
    names = {"reward": "reward", "kl": "kl_k3", "tokens": "completion_length"}
    return {told: [_rounded(step[name]) for step in _steps(output)] for told, name in names.items()}


def _steps(output: Path) -> list[dict[str, float]]:
    return [line["metrics"] for line in _lines(output) if "reward" in line["metrics"]]


def _pace(output: Path) -> dict[str, Any]:
    seconds = [
        line["metrics"]["seconds_per_step"]
        for line in _lines(output)
        if "seconds_per_step" in line["metrics"]
    ]
    return {"steps": len(seconds), "seconds_a_step": round(median(seconds), 1)}


def _write(path: Path, rows: Rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def _lines(output: Path) -> list[dict[str, Any]]:
    text = (output / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def _value(figures: Mapping[str, Any], name: str) -> float | None:
    return _rounded(figures.get(name, {}).get("value"))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
