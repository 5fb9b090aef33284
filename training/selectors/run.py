"""What a run's page shows: its curves and its settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method
from training.alignment.options import describe_options
from training.models import MetricPoint, StepSample, TrainingRun
from training.selectors.option import is_used

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Plot:
    """A title, and for each metric that belongs to it how it is called in the plot."""

    title: str
    y_label: str
    names: dict[str, str]
    about: str
    # Values that the axis holds whatever the data are.
    include: tuple[float, ...] = ()


PLOTS = (
    Plot(
        "Loss",
        "loss",
        {"loss": "training", "held_out_loss": "held out"},
        "What training lowers. A held-out loss that rises meanwhile means overfitting.",
    ),
    Plot(
        "Accuracy",
        "share",
        {
            "accuracy": "training",
            "held_out_accuracy": "held out",
            "held_out_token_accuracy": "held-out tokens",
        },
        "How often the reward is on the judges' side; of demonstrations, how often a token is the "
        "model's first choice.",
        include=(0.0, 1.0),
    ),
    Plot(
        "Reward margin",
        "margin",
        {"reward_margin": "training", "held_out_reward_margin": "held out"},
        "Of chosen minus rejected responses, implied by log-probabilities or a reward model's.",
        include=(0.0,),
    ),
    Plot(
        "Log-probabilities",
        "nats",
        {"chosen_log_probability": "chosen", "rejected_log_probability": "rejected"},
        "Of whole responses, under the model in training. Both may fall while the margin grows.",
    ),
)


ONLINE_PLOTS = (
    Plot(
        "Reward",
        "reward",
        {"reward": "trained on", "reward_watched": "watched", "held_out_reward": "held out"},
        "Mean of the answers that each step sampled. When the watched reward falls while the other "
        "rises, the policy exploits its reward model.",
    ),
    Plot(
        "KL from the reference",
        "nats an answer",
        {"kl_k1": "k1", "kl_k3": "k3", "kl_k2": "k2"},
        "How far the policy has moved; the budget stops a run.",
        include=(0.0,),
    ),
    Plot(
        "Length",
        "tokens",
        {"completion_length": "sampled answers"},
        "Rewards that only grow with length are a warning.",
        include=(0.0,),
    ),
    Plot(
        "Entropy and diversity",
        "nats a token; share",
        {"entropy": "entropy", "distinct_2": "distinct pairs of tokens"},
        "Both fall as the policy settles; near zero it answers everything alike.",
        include=(0.0,),
    ),
)


def plots_of(runs: Sequence[TrainingRun]) -> tuple[Plot, ...]:
    """What there is to draw of these runs."""
    loops = {get_method(run.method).loop for run in runs}
    online = ONLINE_PLOTS if "online" in loops else ()
    return (*(PLOTS if "offline" in loops else ()), *online)


def curves(run: TrainingRun) -> dict[str, Points]:
    """Every metric of the run as (step, value) in order."""
    found: dict[str, Points] = defaultdict(list)
    rows = MetricPoint.objects.filter(run=run).order_by("name", "step")
    for name, step, value in rows.values_list("name", "step", "value"):
        found[name].append((step, value))
    return dict(found)


def run_settings(run: TrainingRun) -> list[tuple[str, str]]:
    """What was set, the method's own first, in the registry's order (a row's JSON has none);
    nothing that the run does not look at."""
    method, adapter = get_method(run.method), run.config["adapter"]
    own = [one.name for one in describe_options(method.hyperparameters)]
    common = [one.name for one in describe_options(TrainingConfig) if is_used(one, method, adapter)]
    found = _ordered(run.config["hyperparameters"], own) | _ordered(run.config, common)
    return [(name.replace("_", " "), _in_words(value)) for name, value in found.items()]


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
