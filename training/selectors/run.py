"""What a run's page shows: its numbers, its settings, and what it wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method
from training.alignment.options import describe_options
from training.models import MetricPoint, StepSample, TrainingRun
from training.selectors.option import is_used, own_used
from training.selectors.plot import Points


def curves(run: TrainingRun) -> dict[str, Points]:
    """Every metric of the run as (step, value) in order."""
    found: dict[str, Points] = defaultdict(list)
    rows = MetricPoint.objects.filter(run=run).order_by("name", "step")
    for name, step, value in rows.values_list("name", "step", "value"):
        found[name].append((step, value))
    return dict(found)


def rewards_parted(run: TrainingRun) -> bool:
    """Whether the alarm of an online run rings: by its newest step the watched reward fell while
    the trained one rose."""
    if not run.config.get("test_reward"):
        return False
    told = run.metric_points.filter(name="rewards_parted").order_by("-step")
    return told.values_list("value", flat=True).first() == 1.0


def run_settings(run: TrainingRun) -> list[tuple[str, str]]:
    """What was set, the method's own first, in the registry's order (a row's JSON has none);
    nothing that the run does not look at."""
    method, adapter = get_method(run.method), run.config["adapter"]
    own = own_used(method, run.config["hyperparameters"])
    common = [one.name for one in describe_options(TrainingConfig) if is_used(one, method, adapter)]
    found = _ordered(run.config["hyperparameters"], own) | _ordered(run.config, common)
    return [(_spelled(name), _in_words(value)) for name, value in found.items()]


def _spelled(name: str) -> str:
    """As the form has it; the library's names are American, as torch's are."""
    return name.replace("_", " ").replace("optimizer", "optimiser")


def left_behind(output: Path) -> str:
    """What a run that wrote to `output` goes on from: "result" once it is trained, for that ends
    its checkpoints, else "checkpoint", or nothing."""
    if (output / "result.json").exists():
        return "result"
    return "checkpoint" if any((output / "checkpoints").glob("step-*")) else ""


def cut_in_words(output: Path) -> str:
    """What of the run's texts was too long for its limits, from the library's report in `output`;
    nothing where all fitted, or nothing was read yet."""
    try:
        sides = json.loads((output / "data_report.json").read_text()).values()
    except (OSError, ValueError):
        return ""
    counted = {
        "prompts cut": "prompts_truncated",
        "completions cut": "completions_truncated",
        "rows left out": "dropped_too_long",
        "rows left out whose prompt leaves no room": "dropped_without_room",
    }
    found = {words: sum(side[name] for side in sides) for words, name in counted.items()}
    return ", ".join(f"{words} {count}" for words, count in found.items() if count)


def _ordered(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values and name != "hyperparameters"}


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_source(one)}" for name, one in value.items()) or "–"
    return "–" if value is None else str(value)


def _source(options: Any) -> str:
    """What gives a reward: its kind, then what is set of it."""
    if not isinstance(options, Mapping):
        return str(options)
    values = {
        name.replace("_", " "): " and ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in options.items()
        if name != "kind"
    }
    kind = str(options.get("kind", "")).replace("_", " ")
    return ", ".join([kind, *(f"{name} {value}" for name, value in sorted(values.items()))])


def step_samples(run: TrainingRun, prompts: int = 6) -> list[tuple[list[Any], list[StepSample]]]:
    """What the model wrote to the same prompts through training: each with its answers by step."""
    rows = run.step_samples.filter(position__lt=prompts)
    groups = groupby(rows, key=lambda row: row.position)
    found = [list(group) for _, group in groups]
    return [(group[0].prompt_messages, _spread(group)) for group in found]


def _spread(samples: list[StepSample], most: int = 6) -> list[StepSample]:
    """First and last, and some between, that a page can hold."""
    if len(samples) <= most:
        return samples
    return [samples[round(place * (len(samples) - 1) / (most - 1))] for place in range(most)]
