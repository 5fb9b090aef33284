"""What an online method is rewarded by: fields, and the library's settings that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

REWARD_FIELDS = ("reward_model", "watched_model", "length_penalty", "length_limit")


def reward_fields(models: list[tuple[str, str]]) -> dict[str, forms.Field]:
    hint = "" if models else " There is none yet: train one on the preferences first."
    missing = f"The method learns from rewards: choose what gives them.{hint}"
    return {
        "reward_model": forms.ChoiceField(
            choices=models,
            help_text=f"Scores each answer that the policy writes.{hint}",
            error_messages={"required": missing},
        ),
        "watched_model": forms.ChoiceField(
            choices=[("", "None"), *models],
            required=False,
            label="Reward model to watch",
            help_text="Scored and never trained on. When the trained reward rises and this one "
            "does not, the policy exploits the first; the run says so.",
        ),
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


def reward_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """`reward_sources`, `watch_sources` and `test_reward` of a run's config."""
    sources = reward_source(given["reward_model"]) if given.get("reward_model") else {}
    if given.get("length_penalty"):
        limit = given.get("length_limit") or 128
        sources["length"] = {"kind": "length", "weight": given["length_penalty"], "limit": limit}
    if not given.get("watched_model"):
        return {"reward_sources": sources}
    watched = {"kind": "reward_model", "folders": [given["watched_model"]]}
    return {
        "reward_sources": sources,
        "watch_sources": {"watched": watched},
        "test_reward": "watched",
    }


def reward_source(name: str) -> dict[str, Any]:
    return {"reward": {"kind": "reward_model", "folders": [name]}}
