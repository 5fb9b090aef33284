"""Reward models in a run's settings: by name in rows, as folders where the worker reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from annotation.models import Project
from core.errors import PrefloopError
from training.alignment.methods import Method
from training.alignment.options import OptionError
from training.alignment.rewards.settings import JudgeOptions, parse_rewards
from training.selectors.model import ModelChoice, find_reward_model

SOURCES = ("reward_sources", "watch_sources")


def check_rewards(
    *, project: Project, method: Method, config: Mapping[str, Any], evaluated_by: str = ""
) -> None:
    """Raises PrefloopError for a source that is not known, or none where one is needed."""
    if evaluated_by:
        find_reward_model(project, evaluated_by)
    if config.get("rollout_source"):
        raise PrefloopError(
            "A run samples its answers itself; rollout_source cannot be set here. Leave it out."
        )
    for key in SOURCES:
        try:
            parsed = parse_rewards(config.get(key, {}))
        except OptionError as error:
            raise PrefloopError(f"{key}: {error}.", **{key: str(error)}) from error
        if any(isinstance(source, JudgeOptions) for source in parsed.values()):
            raise PrefloopError(
                "There are no judges yet that could give rewards. Use a reward model or a "
                "verifier.",
                **{key: "there are no judges yet"},
            )
        _mapped(config.get(key, {}), lambda name: find_reward_model(project, name))
    if method.needs_rewards and not config.get("reward_sources"):
        raise PrefloopError(
            f"{method.title} learns from rewards, and none was chosen. Train a reward model on "
            "the preferences first, then choose it.",
            reward_model="choose one",
        )


def with_folders(
    *, project: Project, method: Method, config: Mapping[str, Any], evaluated_by: str = ""
) -> dict[str, Any]:
    """The config as the library reads it. PPO's value model starts from the first reward model."""

    def folder(name: str) -> str:
        return str(find_reward_model(project, name).folder)

    found: dict[str, Any] = {
        key: _mapped(config.get(key, {}), folder) for key in SOURCES if key in config
    }
    if evaluated_by:
        found["evaluation_reward_model"] = folder(evaluated_by)
    if method.needs_value_model:
        models = [one["folders"] for one in found["reward_sources"].values() if "folders" in one]
        found["value_model"] = models[0][0] if models else None
    return {**config, **found}


def _mapped(
    sources: Mapping[str, Any], change: Callable[[str], str | ModelChoice]
) -> dict[str, Any]:
    """Every source with `change` applied to the names of its models."""
    return {
        name: {**source, "folders": [change(str(one)) for one in source["folders"]]}
        if "folders" in source
        else dict(source)
        for name, source in sources.items()
    }
