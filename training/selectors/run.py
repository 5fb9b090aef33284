"""What a run's page shows: its curves, its evaluation in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

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


def evaluation_sentence(figures: dict[str, Any]) -> str:
    """One sentence on what the training changed, only of figures that are there."""
    held_out = figures.get("held_out")
    if not held_out:
        return "Nothing was evaluated: the run had no held-out data."
    accuracy = held_out["accuracy"]
    parts = [
        f"On {held_out['examples']} held-out examples the new model sides with the judges in "
        f"{_percent(accuracy)} of cases{_interval(accuracy)}, where 50 % is what it began from"
    ]
    length = figures.get("length", {}).get("difference", {}).get("value")
    if length is not None:
        direction = "longer" if length > 0 else "shorter"
        parts.append(
            "its answers are as long as before"
            if abs(length) < 0.5
            else f"its answers are {abs(length):.0f} tokens {direction}"
        )
    return "; ".join(parts) + "."


def is_clear(figures: dict[str, Any]) -> bool:
    """Whether the interval of the held-out accuracy lies above one half."""
    low = figures.get("held_out", {}).get("accuracy", {}).get("low")
    return low is not None and low > 0.5


def _percent(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:.0f} %" if figure["value"] is not None else "–"


def _interval(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return " (too few prompts for an interval)"
    return f" ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    interval: str
    note: str


def evaluation_figures(figures: dict[str, Any]) -> list[Figure]:
    """The evaluation's numbers, each with its interval or the reason why it has none."""
    held_out, kl, length = (figures.get(name, {}) for name in ("held_out", "kl", "length"))
    rows = [
        ("Held-out accuracy", held_out.get("accuracy"), "{:.2f}", ""),
        ("Reward margin", held_out.get("reward_margin"), "{:.3f}", "against the reference"),
        ("Held-out loss", held_out.get("loss"), "{:.4f}", ""),
        ("KL from the reference (k1)", kl.get("k1"), "{:.2f}", kl.get("unit", "")),
        ("KL from the reference (k3)", kl.get("k3"), "{:.2f}", kl.get("unit", "")),
        ("Answer length before", length.get("before"), "{:.0f}", length.get("unit", "")),
        ("Answer length after", length.get("after"), "{:.0f}", length.get("unit", "")),
    ]
    return [
        Figure(label, form.format(figure["value"]), _range(figure, form), note)
        for label, figure, form, note in rows
        if figure and figure["value"] is not None
    ]


def _range(figure: dict[str, Any], form: str) -> str:
    if figure["low"] is None:
        return "too few prompts for an interval"
    return f"{form.format(figure['low'])} to {form.format(figure['high'])}"
