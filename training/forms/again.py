"""A run's settings as an address of the launch form, to launch it again with changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

from training.alignment.methods import get_method
from training.alignment.rewards.settings import (
    JudgeOptions,
    LengthOptions,
    RewardModelOptions,
    SourceOptions,
    VerifierOptions,
    parse_rewards,
)
from training.forms.launch import METHOD_PREFIX, built_for, untouched_values
from training.forms.options import label_of
from training.forms.rewards import JUDGE_PREFIX, reward_config
from training.models import TrainingRun

NOT_FIELDS = ("adapter", "hyperparameters", "reward_sources", "watch_sources", "test_reward")
# Of each of these kinds the form has fields for one source.
HELD = {
    "reward_sources": ("reward_model", "judge", "verifier", "length"),
    "watch_sources": ("reward_model", "judge"),
}


def launch_query(run: TrainingRun) -> str:
    """The form leaves out what it has no field for; `left_out` names it."""
    method, config = get_method(run.method), run.config
    values: dict[str, str | list[str]] = {
        "snapshot": str(run.snapshot_id),
        "method": run.method,
        "adapter": config["adapter"],
        "built_for": built_for(method, config["adapter"]),
        "name": run.name,
        "criterion": run.criterion,
        "base_model": run.base_model,
        "device": config.get("device", "auto"),
    }
    untouched = untouched_values(method, config["adapter"])
    for name, value in _settings(run):
        sent = _as_sent(value)
        if sent and (value is True or sent != untouched.get(name)):
            values[name] = sent
    return urlencode(values, doseq=True)


def _settings(run: TrainingRun) -> Iterator[tuple[str, Any]]:
    yield from ((name, run.config[name]) for name in run.config if name not in NOT_FIELDS)
    for name, value in run.config["hyperparameters"].items():
        yield METHOD_PREFIX + name, value
    yield from run.data_options.items()
    yield from _rewards(run.config)


def left_out(run: TrainingRun) -> list[str]:
    """What the run's rewards have and those of the form do not, in words."""
    form = reward_config(dict(_rewards(run.config)))
    lost = []
    for key in HELD:
        held = _held(run.config, key)
        made = {source.kind: source for source in parse_rewards(form.get(key, {})).values()}
        for name, source in parse_rewards(run.config.get(key) or {}).items():
            if name in held and source.kind in made:
                lost += [f"{one} of “{name}”" for one in _differences(source, made[source.kind])]
            else:
                lost.append(f"“{name}” ({source.kind.replace('_', ' ')})")
    return lost


def _differences(one: SourceOptions, other: SourceOptions) -> list[str]:
    names = [
        item.name for item in fields(one) if getattr(one, item.name) != getattr(other, item.name)
    ]
    return ["further models" if name == "folders" else label_of(name).lower() for name in names]


def _rewards(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for source in _held(config, "reward_sources").values():
        yield from _scorer("reward_model", source)
        if isinstance(source, RewardModelOptions | JudgeOptions):
            yield "reward_weight", source.weight
        if isinstance(source, RewardModelOptions):
            yield from _ensemble(source)
        if isinstance(source, VerifierOptions):
            yield "verifier", source.verifier
            yield "verifier_weight", source.weight
        if isinstance(source, LengthOptions):
            yield "length_penalty", source.weight
            yield "length_limit", source.limit
    for source in _held(config, "watch_sources").values():
        yield from _scorer("watched_model", source)


def _ensemble(source: RewardModelOptions) -> Iterator[tuple[str, Any]]:
    yield "more_models", source.folders[1:]
    yield "combine", source.combine
    if source.uncertainty_weight:
        yield "uncertainty_weight", source.uncertainty_weight


def _scorer(field: str, source: SourceOptions) -> Iterator[tuple[str, Any]]:
    if isinstance(source, RewardModelOptions):
        yield field, source.folders[0]
    if isinstance(source, JudgeOptions):
        yield field, JUDGE_PREFIX + source.judge
        yield "judge_cap", source.cap


def _held(config: Mapping[str, Any], key: str) -> dict[str, SourceOptions]:
    """The first source of each kind that the form has fields for, by name."""
    found: dict[str, tuple[str, SourceOptions]] = {}
    for name, source in parse_rewards(config.get(key) or {}).items():
        if source.kind in HELD[key]:
            found.setdefault(source.kind, (name, source))
    return dict(found.values())


def _as_sent(value: Any) -> str | list[str]:
    """As a browser sends it: a box that is not ticked, and what is empty, not at all."""
    if value is True:
        return "on"
    if isinstance(value, list):
        return [str(one) for one in value]
    return "" if value is None or value is False else str(value)
