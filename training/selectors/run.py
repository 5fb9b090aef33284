"""What a run's page shows: its curves and its settings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from training.models import MetricPoint, TrainingRun

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
        {"accuracy": "training", "held_out_accuracy": "held out"},
        "How often the implied reward is on the judges' side.",
        include=(0.0, 1.0),
    ),
    Plot(
        "Reward margin",
        "margin",
        {"reward_margin": "training", "held_out_reward_margin": "held out"},
        "Implied reward of chosen minus rejected responses, against the reference model.",
        include=(0.0,),
    ),
    Plot(
        "Log-probabilities",
        "nats",
        {"chosen_log_probability": "chosen", "rejected_log_probability": "rejected"},
        "Of whole responses, under the model in training. Both may fall while the margin grows.",
    ),
)


def curves(run: TrainingRun) -> dict[str, Points]:
    """Every metric of the run as (step, value) in order."""
    found: dict[str, Points] = defaultdict(list)
    rows = MetricPoint.objects.filter(run=run).order_by("name", "step")
    for name, step, value in rows.values_list("name", "step", "value"):
        found[name].append((step, value))
    return dict(found)


def run_settings(run: TrainingRun) -> list[tuple[str, str]]:
    """What was set, the method's own first; nothing that the run does not use."""
    config = {name: value for name, value in run.config.items() if name != "hyperparameters"}
    if config["adapter"] == "full":
        config = {name: value for name, value in config.items() if not name.startswith("lora_")}
    values = {**run.config["hyperparameters"], **config}
    return [(name.replace("_", " "), _in_words(value)) for name, value in values.items()]


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
