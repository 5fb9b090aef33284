"""From a model version back to the people's judgments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feedback.models import Snapshot
from training.models import ModelVersion, TrainingRun
from training.selectors.model import VERSION_PREFIX


@dataclass(frozen=True)
class Lineage:
    """The steps from weights to snapshot; `parent` is the version that training began from."""

    run: TrainingRun | None
    snapshot: Snapshot | None
    parent: ModelVersion | None
    facts: dict[str, Any]


def lineage_of(version: ModelVersion) -> Lineage:
    run = version.run
    parent = None
    if run is not None and run.base_model.startswith(VERSION_PREFIX):
        number = int(run.base_model.removeprefix(VERSION_PREFIX))
        parent = version.project.model_versions.filter(number=number).first()
    return Lineage(run, run.snapshot if run else None, parent, version.lineage)
