"""Says which model version is in use."""

from __future__ import annotations

from django.db import transaction

from annotation.models import Project
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event
from training.models import ModelVersion, Promotion
from training.selectors.model import scores_answers
from training.selectors.promotion import promoted_versions


@transaction.atomic
def promote_version(
    *, version: ModelVersion, replacing: ModelVersion | None, by: User | None, note: str = ""
) -> Promotion:
    """`replacing` is the version that was promoted when the decision was made."""
    if scores_answers(version):
        raise PrefloopError("A reward model writes no answers, so it cannot be promoted.")
    current = _locked_way(version.project_id)[-1:]
    if current == [version]:
        raise Conflict(f"Version {version.number} is promoted already.")
    _refuse_if_moved(current, replacing)
    return _record(Promotion.Action.PROMOTE, version, previous=replacing, by=by, note=note)


@transaction.atomic
def roll_back(*, version: ModelVersion, by: User | None, note: str = "") -> Promotion:
    """Takes back the promotion of `version`: the one before it is in use again."""
    way = _locked_way(version.project_id)
    _refuse_if_moved(way[-1:], version)
    if len(way) < 2:
        raise Conflict("No version was promoted before this one: there is nothing to go back to.")
    return _record(Promotion.Action.ROLL_BACK, way[-2], previous=version, by=by, note=note)


def _locked_way(project_id: int) -> list[ModelVersion]:
    """Promotions of a project happen one after the other."""
    return promoted_versions(Project.objects.select_for_update(no_key=True).get(pk=project_id))


def _refuse_if_moved(current: list[ModelVersion], expected: ModelVersion | None) -> None:
    if current != ([expected] if expected else []):
        now = f"version {current[0].number}" if current else "no version"
        raise Conflict(f"Somebody was quicker: {now} is promoted now. Look again, then decide.")


def _record(
    action: str, version: ModelVersion, *, previous: ModelVersion | None, by: User | None, note: str
) -> Promotion:
    promotion = Promotion.objects.create(
        project_id=version.project_id,
        version=version,
        previous=previous,
        action=action,
        note=note.strip(),
        by=by,
    )
    record_event(
        actor=by,
        action=action,
        target=version,
        project_id=version.project_id,
        detail={"previous": previous.number if previous else None, "note": note.strip()},
    )
    return promotion
