"""What rewards a run: by name in rows, as folders and versions where they are at work."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotation.models import Project
from annotation.selectors.judge import REFERENCE_TAG
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.methods import Method
from training.alignment.options import OptionError
from training.alignment.rewards.settings import VerifierOptions, parse_rewards
from training.alignment.rewards.verifiers import VARIABLE, needs_answer
from training.selectors.judge import SOURCES, TRAINED_ON, find_reward_judge
from training.selectors.model import ModelChoice, find_reward_model
from training.selectors.training_data import prompts_without_answer
from training.selectors.verifier import known_verifiers


def check_rewards(
    *,
    project: Project,
    snapshot: Snapshot,
    criterion: str,
    method: Method,
    config: Mapping[str, Any],
    evaluated_by: str = "",
) -> dict[str, Any]:
    """The sources as a run keeps them: judges with their version, which a later one leaves alone.

    Raises PrefloopError for a source that is not known, or none where one is needed, or one that
    the snapshot has no reference answers for, or weights that are all 0.
    """
    if evaluated_by:
        find_reward_model(project, evaluated_by)
    if config.get("rollout_source"):
        raise PrefloopError(
            "A run samples its answers itself; rollout_source cannot be set here. Leave it out."
        )
    rewards = {}
    for key in SOURCES:
        try:
            rewards[key] = parse_rewards(config.get(key, {}))
        except OptionError as error:
            raise PrefloopError(f"{key}: {error}.", **{key: str(error)}) from error
        for source in rewards[key].values():
            if isinstance(source, VerifierOptions):
                _check_verifier(key, source.verifier)
                _check_answers(snapshot, criterion, key, source.verifier)
        _mapped(config.get(key, {}), lambda name: find_reward_model(project, name))
    if method.needs_rewards and not config.get("reward_sources"):
        raise PrefloopError(
            f"{method.title} learns from rewards, and none was chosen. Train a reward model on "
            "the preferences first, then choose it.",
            reward_model="choose one",
        )
    if method.needs_rewards and not any(source.weight for source in rewards[TRAINED_ON].values()):
        raise PrefloopError(
            "Every reward has the weight 0, so there is nothing to learn from. Give at least one "
            "another weight.",
            **{TRAINED_ON: "every weight is 0"},
        )
    return {
        key: {name: _with_version(project, key, source) for name, source in config[key].items()}
        for key in SOURCES
        if config.get(key)
    }


def with_folders(
    *,
    project: Project,
    method: Method,
    base: Path,
    config: Mapping[str, Any],
    evaluated_by: str = "",
) -> dict[str, Any]:
    """The config as the library reads it. `base` is the folder of what training starts from.

    PPO's value model starts from the first reward model that reads the policy's token ids, or from
    the policy itself.
    """

    def folder(name: str) -> str:
        return str(find_reward_model(project, name).folder)

    found: dict[str, Any] = {
        key: _mapped(config.get(key, {}), folder) for key in SOURCES if key in config
    }
    if evaluated_by:
        found["evaluation_reward_model"] = folder(evaluated_by)
    if method.needs_value_model:
        models = [one["folders"] for one in found["reward_sources"].values() if "folders" in one]
        fit = [one for folders in models for one in folders if _reads_alike(Path(one), base)]
        found["value_model"] = fit[0] if fit else None
    return {**config, **found}


def _with_version(project: Project, key: str, source: Mapping[str, Any]) -> dict[str, Any]:
    if source["kind"] != "judge":
        return dict(source)
    try:
        judge = find_reward_judge(project, source["judge"], is_trained_on=key == TRAINED_ON)
    except PrefloopError as error:
        raise PrefloopError(error.message, **{key: error.message.rstrip(".")}) from error
    return {**source, "judge": str(judge)}


def _check_verifier(key: str, name: str) -> None:
    known = known_verifiers()
    if name not in known:
        raise PrefloopError(
            f"There is no verifier “{name}”; there are {', '.join(known)}. Choose one of them, or "
            f"ask the operator to install its package or to name it in {VARIABLE}.",
            **{key: f"there is no verifier “{name}”"},
        )


def _check_answers(snapshot: Snapshot, criterion: str, key: str, name: str) -> None:
    """Now, rather than at whichever step draws a prompt with nothing to compare with."""
    lacking, asked = prompts_without_answer(snapshot, criterion)
    if needs_answer(name) and lacking:
        words = f"{lacking} of {asked} prompts of {snapshot} have no reference answer"
        remedy = (
            f"Import prompts with the tag “{REFERENCE_TAG}”, judge them and freeze again, or "
            "choose another reward"
        )
        raise PrefloopError(
            f"The verifier “{name}” compares with the prompt's reference answer, and {words}. "
            f"{remedy}.",
            **{"verifier": f"{words}. {remedy}", key: words},
        )


def _reads_alike(folder: Path, other: Path) -> bool:
    """False where both folders tell their vocabularies, and these differ."""
    one, two = _vocabulary(folder), _vocabulary(other)
    return one is None or two is None or one == two


def _vocabulary(folder: Path) -> tuple[Any, ...] | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        added = [(token["id"], token["content"]) for token in values["added_tokens"]]
        return values["model"]["vocab"], added
    return None


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
