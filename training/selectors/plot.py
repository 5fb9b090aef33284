"""What is drawn of runs: plots, each with the metrics that belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.alignment.methods import get_method
from training.alignment.rewards.settings import MISSING_END
from training.models import TrainingRun
from training.selectors.judge import SOURCES

Points = list[tuple[int, float]]
# What the launch form calls the reward that is watched.
WATCHED = "watched"


@dataclass(frozen=True)
class Plot:
    """A title, and for each metric that belongs to it how it is called in the plot."""

    title: str
    y_label: str
    names: dict[str, str]
    about: str
    # Values that the axis holds whatever the data are.
    include: tuple[float, ...] = ()
    # The metric that the curves go along; empty: steps.
    along: str = ""
    x_label: str = "step"

    def columns(
        self, points: Mapping[str, Points], name: str
    ) -> tuple[Sequence[float], Sequence[float]]:
        """x and y of a metric; steps at which there is no x are left out."""
        if not self.along:
            return [step for step, _ in points[name]], [value for _, value in points[name]]
        places = dict(points.get(self.along, ()))
        both = [(places[step], value) for step, value in points[name] if step in places]
        return [x for x, _ in both], [y for _, y in both]


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

ROLLOUT_PLOTS = (
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
        "Answers that end",
        "share",
        {"ended_share": "ended"},
        "By themselves; the others were cut off at the limit of tokens. Scores of answers that are "
        "cut off say little.",
        include=(0.0, 1.0),
    ),
    Plot(
        "Entropy and diversity",
        "nats a token; share",
        {"entropy": "entropy", "distinct_1": "distinct tokens", "distinct_2": "distinct pairs"},
        "Entropy, and how many of all tokens and pairs of tokens differ. All fall as the policy "
        "settles; near zero it answers everything alike.",
        include=(0.0,),
    ),
    Plot(
        "What teaches nothing",
        "share",
        {"zero_variance_share": "equal groups", "clip_fraction": "clipped tokens"},
        "Prompts whose answers all got one reward, from which a group method learns nothing; and "
        "tokens that the clipping took out of the updates.",
        include=(0.0, 1.0),
    ),
    Plot(
        "Sampler against trainer",
        "nats a token",
        {"sampler_difference": "sampler", "kl_old": "updates (KL)"},
        "How far the trainer's log-probabilities are from those that answers were sampled with: "
        "rounding, or the run stops. And how far a step's updates had moved the policy before the "
        "last of them: 0 where there is only one.",
        include=(0.0,),
    ),
)
VALUE_PLOT = Plot(
    "Value model",
    "explained variance",
    {"explained_variance": "of the returns"},
    "1 is a value model that foresees every return; at 0 or below it helps no more than a mean.",
    include=(0.0, 1.0),
)


def plots_of(runs: Sequence[TrainingRun]) -> tuple[Plot, ...]:
    """What there is to draw of these runs."""
    methods = [get_method(run.method) for run in runs]
    loops = {method.loop for method in methods}
    return (
        *(PLOTS if "offline" in loops else ()),
        *(_reward_plots(runs) if "online" in loops else ()),
        *(ROLLOUT_PLOTS if "online" in loops else ()),
        *((VALUE_PLOT,) if any(method.needs_value_model for method in methods) else ()),
    )


def _reward_plots(runs: Sequence[TrainingRun]) -> Iterator[Plot]:
    """Rewards are named by each run's settings."""
    tests = [str(run.config["test_reward"]) for run in runs if run.config.get("test_reward")]
    watched = {f"reward_{name}": _watched(name) for name in tests}
    yield Plot(
        "Reward",
        "reward",
        {"reward": "trained on", **watched, "held_out_reward": "held out"},
        "Mean of the answers that each step sampled."
        + " When the watched reward falls while the other rises, the policy exploits its reward "
        "model." * bool(watched),
    )
    yield Plot(
        "Reward by distance",
        "reward",
        {"reward": "trained on", **watched},
        "What the distance from the reference has bought: each step by the root of its KL (k3)."
        + " Where the watched reward bends down, the trained one is exploited." * bool(watched),
        along="sqrt_kl",
        x_label="√KL from the reference",
    )
    sources = [name for run in runs for name in _sources(run)]
    if len(set(sources)) > 1:
        yield Plot(
            "Rewards by source",
            "reward",
            {f"reward_{name}": name.replace("_", " ") for name in sources},
            "Each before its weight, those that are only watched among them.",
        )


def _sources(run: TrainingRun) -> list[str]:
    named = [name for key in SOURCES for name in run.config.get(key) or {}]
    return [*named, MISSING_END] if run.config.get("missing_end_penalty") else named


def _watched(name: str) -> str:
    return name if name == WATCHED else f"{name.replace('_', ' ')}, watched"
