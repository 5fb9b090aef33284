"""A run's settings as an address of the launch form, to launch it again with changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from training.alignment.methods import get_method
from training.forms.launch import METHOD_PREFIX, built_for, untouched_values
from training.models import TrainingRun

NOT_FIELDS = ("adapter", "hyperparameters", "reward_sources", "watch_sources", "test_reward")


def launch_query(run: TrainingRun) -> str:
    """The form leaves out what it has no field for, such as a verifier that gave rewards."""
    method, config = get_method(run.method), run.config
    values = {
        "snapshot": str(run.snapshot_id),
        "method": run.method,
        "adapter": config["adapter"],
        "built_for": built_for(method, config["adapter"]),
        "name": run.name,
        "criterion": run.criterion,
        "base_model": run.base_model,
        "device": config["device"],
    }
    untouched = untouched_values(method, config["adapter"])
    for name, value in _settings(run):
        sent = _as_sent(value)
        if sent and (value is True or sent != untouched.get(name)):
            values[name] = sent
    return urlencode(values)


def _settings(run: TrainingRun) -> Iterator[tuple[str, Any]]:
    yield from ((name, run.config[name]) for name in run.config if name not in NOT_FIELDS)
    for name, value in run.config["hyperparameters"].items():
        yield METHOD_PREFIX + name, value
    yield from run.data_options.items()
    yield from _rewards(run.config)


def _rewards(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    sources = config.get("reward_sources", {})
    for source in sources.values():
        if source["kind"] == "reward_model":
            yield "reward_model", source["folders"][0]
        if source["kind"] == "length":
            yield "length_penalty", source.get("weight")
            yield "length_limit", source.get("limit")
    for source in config.get("watch_sources", {}).values():
        if source["kind"] == "reward_model":
            yield "watched_model", source["folders"][0]


def _as_sent(value: Any) -> str:
    """As a browser sends it: a box that is not ticked, and what is empty, not at all."""
    if value is True:
        return "on"
    return "" if value is None or value is False else str(value)
