"""What an online method is rewarded by: fields, and the library's settings that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from training.alignment.rewards.settings import JudgeOptions

REWARD_FIELDS = ("reward_model", "watched_model", "judge_cap", "length_penalty", "length_limit")
JUDGE_PREFIX = "judge:"

Choices = Sequence[tuple[str, str]]


def reward_fields(models: Choices, judges: Choices = ()) -> dict[str, forms.Field]:
    """`judges` are (name with version, title)."""
    hint = (
        ""
        if models or judges
        else " There is none yet: train one on the preferences first, or "
        "make a judge that judges each answer by itself."
    )
    missing = f"The method learns from rewards: choose what gives them.{hint}"
    asked = [(JUDGE_PREFIX + name, title) for name, title in judges]
    choices = [*models, *asked]
    return {
        "reward_model": forms.ChoiceField(
            choices=choices,
            label="Reward model or judge" if asked else "Reward model",
            help_text=f"Scores each answer that the policy writes.{hint}",
            error_messages={"required": missing},
        ),
        "watched_model": forms.ChoiceField(
            choices=[("", "None"), *choices],
            required=False,
            label="Reward model or judge to watch" if asked else "Reward model to watch",
            help_text="Scored and never trained on. When the trained reward rises and this one "
            "does not, the policy exploits the first; the run says so.",
        ),
        **({"judge_cap": _judge_cap()} if asked else {}),
        "length_penalty": forms.FloatField(
            initial=0.0,
            min_value=0.0,
            max_value=1e6,
            widget=forms.NumberInput(attrs={"step": "any"}),
            help_text="Taken from the reward of an answer as long as the limit; 0 takes nothing.",
        ),
        "length_limit": forms.IntegerField(
            initial=128,
            min_value=1,
            max_value=10**6,
            help_text="In tokens: where the length penalty is full.",
        ),
    }


def _judge_cap() -> forms.Field:
    return forms.FloatField(
        initial=JudgeOptions.cap,
        required=False,
        min_value=0.0,
        max_value=1e6,
        label="Budget of a judge",
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="In dollars: the run ends before it spends more on a judge that is chosen above.",
    )


def reward_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """`reward_sources`, `watch_sources` and `test_reward` of a run's config."""
    cap = given.get("judge_cap")
    sources = reward_source(given["reward_model"], cap) if given.get("reward_model") else {}
    if given.get("length_penalty"):
        limit = given.get("length_limit") or 128
        sources["length"] = {"kind": "length", "weight": given["length_penalty"], "limit": limit}
    if not given.get("watched_model"):
        return {"reward_sources": sources}
    return {
        "reward_sources": sources,
        "watch_sources": {"watched": _source(given["watched_model"], cap)},
        "test_reward": "watched",
    }


def reward_source(name: str, cap: float | None = None) -> dict[str, Any]:
    """`name` is that of a version, or of a judge behind its prefix."""
    return {"reward": _source(name, cap)}


def _source(name: str, cap: float | None) -> dict[str, Any]:
    if not name.startswith(JUDGE_PREFIX):
        return {"kind": "reward_model", "folders": [name]}
    named = {"kind": "judge", "judge": name.removeprefix(JUDGE_PREFIX)}
    return named if cap is None else {**named, "cap": cap}
