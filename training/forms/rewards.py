"""What an online method is rewarded by: fields, and the library's settings that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from training.alignment.rewards.settings import COMBINATIONS, JudgeOptions
from training.forms.options import number_field
from training.selectors.plot import WATCHED

REWARD_FIELDS = (
    *("reward_model", "reward_weight", "more_models", "combine", "uncertainty_weight"),
    *("verifier", "verifier_weight", "watched_model", "judge_cap"),
    *("length_penalty", "length_limit"),
)
# Sent once for each that is ticked.
SEVERAL = ("more_models",)
JUDGE_PREFIX = "judge:"

Choices = Sequence[tuple[str, str]]
NONE = ("", "None")


def reward_fields(
    models: Choices, judges: Choices = (), verifiers: Sequence[str] = ()
) -> dict[str, forms.Field]:
    """`judges` are (name with version, title)."""
    asked = [(JUDGE_PREFIX + name, title) for name, title in judges]
    choices = [*models, *asked]
    scorer = "Reward model or judge" if asked else "Reward model"
    return {
        "reward_model": forms.ChoiceField(
            choices=[*choices, NONE],
            required=False,
            initial=choices[0][0] if choices else "",
            label=scorer,
            help_text=f"Scores each answer that the policy writes.{_hint(choices)}",
        ),
        "reward_weight": _number("Multiplies its reward in the sum of all.", initial=1.0),
        **(_ensemble(models) if len(models) > 1 else {}),
        "verifier": forms.ChoiceField(
            choices=[NONE, *((name, name) for name in verifiers)],
            required=False,
            help_text="A function that checks each answer. Those that come with Prefloop compare "
            "with the prompt's reference answer, which every prompt must have then.",
        ),
        "verifier_weight": _number("Multiplies its verdict in the sum of all.", initial=1.0),
        "watched_model": forms.ChoiceField(
            choices=[NONE, *choices],
            required=False,
            label=f"{scorer} to watch",
            help_text="Scored and never trained on. When the trained reward rises and this one "
            "falls, the policy exploits the first; the run says so.",
        ),
        **({"judge_cap": _judge_cap()} if asked else {}),
        "length_penalty": _number(
            "Taken from the reward of an answer as long as the limit; 0 takes nothing.",
            initial=0.0, min_value=0.0,
        ),
        "length_limit": number_field(
            is_whole=True,
            initial=128,
            min_value=1,
            max_value=10**6,
            help_text="In tokens: where the length penalty is full.",
        ),
    }  # fmt: skip


def _ensemble(models: Choices) -> dict[str, forms.Field]:
    return {
        "more_models": forms.MultipleChoiceField(
            choices=models,
            required=False,
            initial=[],
            widget=forms.CheckboxSelectMultiple,
            label="Further reward models",
            help_text="They score beside the one above as an ensemble, which is harder to exploit.",
        ),
        "combine": forms.ChoiceField(
            choices=list(zip(COMBINATIONS, ("the mean", "the worst", "the mean less the variance"),
                             strict=True)),
            help_text="What counts of an ensemble's scores.",
        ),
        "uncertainty_weight": _number(
            "What the variance is multiplied by where it is taken.", initial=1.0, min_value=0.0
        ),
    }  # fmt: skip


def _hint(choices: Choices) -> str:
    if choices:
        return ""
    return (
        " There is none yet: train one on the preferences first, or make a judge that judges each "
        "answer by itself."
    )


def _number(words: str, **options: Any) -> forms.Field:
    return number_field(help_text=words, **{"min_value": -1e6, "max_value": 1e6, **options})


def _judge_cap() -> forms.Field:
    return _number(
        "In dollars: the run ends before it spends more on a judge that is chosen above.",
        initial=JudgeOptions.cap,
        required=False,
        min_value=0.0,
        label="Budget of a judge",
    )


def clean_rewards(form: forms.Form, given: Mapping[str, Any]) -> None:
    """Something must give the rewards; a penalty alone teaches nothing but to be short."""
    weights = {"reward_model": "reward_weight", "verifier": "verifier_weight"}
    chosen = [name for name in weights if given.get(name)]
    if not chosen and not weights.keys() & form.errors.keys():
        form.add_error("reward_model", "The method learns from rewards: choose what gives them.")
    elif chosen and all(given.get(weights[name]) == 0 for name in chosen):
        form.add_error(
            weights[chosen[0]],
            "With a weight of 0 the run has nothing to learn from: enter another number.",
        )


def reward_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """`reward_sources`, `watch_sources` and `test_reward` of a run's config."""
    cap = given.get("judge_cap")
    sources: dict[str, Any] = {}
    if given.get("reward_model"):
        found = _source(given["reward_model"], cap)
        if "folders" in found:
            found |= _together(given)
        sources["reward"] = found | _weight(given.get("reward_weight"))
    if given.get("verifier"):
        found = {"kind": "verifier", "verifier": given["verifier"]}
        sources["verifier"] = found | _weight(given.get("verifier_weight"))
    if given.get("length_penalty"):
        limit = given.get("length_limit") or 128
        sources["length"] = {"kind": "length", "weight": given["length_penalty"], "limit": limit}
    if not given.get("watched_model"):
        return {"reward_sources": sources}
    return {
        "reward_sources": sources,
        "watch_sources": {WATCHED: _source(given["watched_model"], cap)},
        "test_reward": WATCHED,
    }


def reward_source(name: str) -> dict[str, Any]:
    """`name` is that of a version, or of a judge behind its prefix."""
    return {"reward": _source(name, None)}


def _source(name: str, cap: float | None) -> dict[str, Any]:
    if not name.startswith(JUDGE_PREFIX):
        return {"kind": "reward_model", "folders": [name]}
    named = {"kind": "judge", "judge": name.removeprefix(JUDGE_PREFIX)}
    return named if cap is None else {**named, "cap": cap}


def _together(given: Mapping[str, Any]) -> dict[str, Any]:
    """The folders of an ensemble and how their scores are joined; nothing for one model."""
    folders = list(dict.fromkeys([given["reward_model"], *(given.get("more_models") or ())]))
    if len(folders) == 1:
        return {}
    combine = given.get("combine") or COMBINATIONS[0]
    weight = {"uncertainty_weight": given.get("uncertainty_weight") or 0.0}
    return {"folders": folders, "combine": combine, **(weight if combine == "uncertainty" else {})}


def _weight(weight: float | None) -> dict[str, float]:
    """Only one that differs from the library's."""
    return {} if weight is None or weight == 1.0 else {"weight": weight}
