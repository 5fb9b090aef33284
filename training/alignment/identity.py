"""Whether a checkpoint is of the run that would go on from it."""

from collections.abc import Collection, Mapping
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.options import describe_options


def differences(
    kept: Mapping[str, Any], own: Mapping[str, Any], *, free: Collection[str] = ()
) -> list[str]:
    """The settings in which a checkpoint's identity differs from a run's, in alphabetical order.

    A setting that is newer than the checkpoint had its default then, and what else an older
    checkpoint does not tell is not compared; nor is what it tells of `free` and no run does now.
    """
    options = describe_options(TrainingConfig)
    defaults = {item.name: item.default for item in options if not item.required}
    was = {**own, **{name: defaults[name] for name in own if name in defaults}, **kept}
    missing = object()
    names = {*own, *(kept.keys() - set(free))}
    return sorted(name for name in names if was[name] != own.get(name, missing))
