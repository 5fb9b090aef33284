"""Which version is promoted, and which ones were before it."""

from __future__ import annotations

from annotation.models import Project
from training.models import ModelVersion, Promotion


def promoted_versions(project: Project) -> list[ModelVersion]:
    """The way that led to the current version, which is last. A roll back takes one step back."""
    way: list[ModelVersion] = []
    for promotion in project.promotions.select_related("version").order_by("pk"):
        if promotion.action == Promotion.Action.PROMOTE:
            way.append(promotion.version)
        else:
            way.pop()
    return way


def promoted_version(project: Project) -> ModelVersion | None:
    return next(reversed(promoted_versions(project)), None)


def version_before(project: Project) -> ModelVersion | None:
    """What a roll back would promote again."""
    way = promoted_versions(project)
    return way[-2] if len(way) > 1 else None
