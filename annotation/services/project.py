"""Projects and the versioned protocol they judge by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.messages import storable
from annotation.models import Kind, Membership, Project, Protocol
from core.errors import Conflict, NotAllowed, PrefloopError
from core.models import User
from core.services.audit import record_event

CRITERION_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_CRITERIA = 10
MOST_REASONS = 20
LONGEST_ASKED = 1000
SETTINGS = (
    "name", "description", "overlap", "lease_seconds", "skip_limit", "daily_target", "gold_share",
    "probe_share", "shows_gold_agreement", "judge_budget",
)  # fmt: skip

Criteria = Sequence[Mapping[str, str]]


@transaction.atomic
def create_project(
    *,
    creator: User,
    name: str,
    kinds: Sequence[str],
    criteria: Criteria,
    overlap: int = 3,
    description: str = "",
    guidelines: str = "",
    reasons: Sequence[str] = (),
    thumbs_reasons: Sequence[str] = (),
    pairwise_scale: str = Protocol.Scale.STRENGTH,
    comment_min_length: int = 0,
    allows_rewrite: bool = True,
    is_demo: bool = False,
) -> Project:
    """The project, its first protocol, and its creator as manager."""
    if not creator.may_create_projects:
        raise NotAllowed("You may not create projects. An admin of this instance can allow it.")
    project = Project(
        name=name.strip(),
        description=description,
        overlap=overlap,
        is_demo=is_demo,
        created_by=creator,
    )
    _check_settings(project)
    project.save()
    fields = checked_protocol(
        guidelines=guidelines,
        kinds=kinds,
        criteria=criteria,
        reasons=reasons,
        thumbs_reasons=thumbs_reasons,
        pairwise_scale=pairwise_scale,
        comment_min_length=comment_min_length,
        allows_rewrite=allows_rewrite,
    )
    Protocol.objects.create(project=project, **fields)
    Membership.objects.create(project=project, user=creator, role=Membership.Role.MANAGER)
    record_event(
        actor=creator,
        action="create_project",
        target=project,
        project_id=project.pk,
        detail={"name": project.name},
    )
    return project


@transaction.atomic
def update_project(*, project: Project, actor: User, **changes: Any) -> Project:
    """Any of SETTINGS; a new overlap holds for items that are made from now on."""
    unknown = set(changes) - set(SETTINGS)
    if unknown:
        raise PrefloopError(f"A project has no setting {', '.join(sorted(unknown))}.")
    locked = Project.objects.select_for_update().get(pk=project.pk)
    before = {name: getattr(locked, name) for name in changes}
    for name, value in changes.items():
        setattr(locked, name, value.strip() if isinstance(value, str) else value)
    _check_settings(locked)
    changed = {
        name: getattr(locked, name) for name in changes if getattr(locked, name) != before[name]
    }
    told = {name: str(v) if isinstance(v, Decimal) else v for name, v in changed.items()}
    if changed:
        locked.save(update_fields=list(changed))
        record_event(
            actor=actor,
            action="update_project",
            target=locked,
            project_id=locked.pk,
            detail={"changed": told},
        )
    project.refresh_from_db()
    return project


def _check_settings(project: Project) -> None:
    for name in ("name", "description"):
        storable(getattr(project, name), name)
    try:
        project.clean_fields(exclude=["created_by"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise PrefloopError(f"{name}: {problems[0]}", field=name) from error


@transaction.atomic
def revise_protocol(
    *,
    project: Project,
    actor: User,
    guidelines: str,
    kinds: Sequence[str],
    criteria: Criteria,
    reasons: Sequence[str] = (),
    thumbs_reasons: Sequence[str] = (),
    pairwise_scale: str = Protocol.Scale.STRENGTH,
    comment_min_length: int = 0,
    allows_rewrite: bool = True,
) -> Protocol:
    """Edits the newest version while nobody has judged by it, else makes the next one."""
    Project.objects.select_for_update().get(pk=project.pk)
    fields = checked_protocol(
        guidelines=guidelines,
        kinds=kinds,
        criteria=criteria,
        reasons=reasons,
        thumbs_reasons=thumbs_reasons,
        pairwise_scale=pairwise_scale,
        comment_min_length=comment_min_length,
        allows_rewrite=allows_rewrite,
    )
    newest = Protocol.objects.select_for_update().filter(project=project).latest("version")
    if all(getattr(newest, name) == value for name, value in fields.items()):
        return newest
    if newest.frozen_at is None:
        for name, value in fields.items():
            setattr(newest, name, value)
        newest.save(update_fields=list(fields))
        protocol = newest
    else:
        protocol = Protocol.objects.create(project=project, version=newest.version + 1, **fields)
    record_event(
        actor=actor,
        action="revise_protocol",
        target=protocol,
        project_id=project.pk,
        detail={"version": protocol.version},
    )
    return protocol


def freeze_protocol(*, protocol: Protocol) -> None:
    """By its first judgment, in that judgment's transaction.

    What was answered was checked against `protocol` as it was read: had it been edited since, the
    answers would stand under questions that nobody was asked.
    """
    if protocol.frozen_at is not None:
        return
    unchanged = Protocol.objects.filter(
        pk=protocol.pk, criteria=protocol.criteria, reasons=protocol.reasons
    )
    if not unchanged.update(frozen_at=Coalesce("frozen_at", timezone.now())):
        raise Conflict(
            "The project's questions were changed a moment ago. Reload the page and answer again."
        )


def checked_protocol(
    *,
    guidelines: str,
    kinds: Sequence[str],
    criteria: Criteria,
    reasons: Sequence[str],
    thumbs_reasons: Sequence[str],
    pairwise_scale: str,
    comment_min_length: int,
    allows_rewrite: bool,
) -> dict[str, Any]:
    unknown = set(kinds) - set(Kind.values)
    if not kinds or unknown:
        raise PrefloopError(f"Choose at least one kind of {', '.join(Kind.values)}.", field="kinds")
    if pairwise_scale not in Protocol.Scale.values:
        names = " or ".join(Protocol.Scale.values)
        raise PrefloopError(f"The scale is {names}.", field="pairwise_scale")
    if not 0 <= comment_min_length <= LONGEST_ASKED:
        raise PrefloopError(
            f"A comment of 0 to {LONGEST_ASKED} characters may be asked for.",
            field="comment_min_length",
        )
    return {
        "guidelines": storable(guidelines, "guidelines").replace("\r\n", "\n").strip(),
        "kinds": [kind for kind in Kind.values if kind in kinds],
        "criteria": _checked_criteria(criteria),
        "reasons": _checked_reasons(reasons, "reasons"),
        "thumbs_reasons": _checked_reasons(thumbs_reasons, "thumbs_reasons"),
        "pairwise_scale": pairwise_scale,
        "comment_min_length": comment_min_length,
        "allows_rewrite": allows_rewrite,
    }


def _checked_reasons(reasons: Sequence[str], field: str) -> list[str]:
    given = [storable(reason, "reasons").strip() for reason in reasons]
    reasons = list(dict.fromkeys(filter(None, given)))
    if len(reasons) > MOST_REASONS or any(len(reason) > 60 for reason in reasons):
        raise PrefloopError(
            f"At most {MOST_REASONS} reasons, each of at most 60 characters.", field=field
        )
    return reasons


def _checked_criteria(criteria: Criteria) -> list[dict[str, str]]:
    if not 1 <= len(criteria) <= MOST_CRITERIA:
        raise PrefloopError(f"Name 1 to {MOST_CRITERIA} criteria.", field="criteria")
    rows = [_checked_criterion(criterion) for criterion in criteria]
    keys = [row["key"] for row in rows]
    if len(set(keys)) < len(keys):
        raise Conflict("Two criteria have the same key. Give each its own.", field="criteria")
    return rows


def _checked_criterion(criterion: Mapping[str, str]) -> dict[str, str]:
    name = storable(criterion.get("name", ""), "criteria").strip()
    key = criterion.get("key", "").strip() or key_of(name)
    if not name or len(name) > 60:
        raise PrefloopError("Give each criterion a name of 1 to 60 characters.", field="criteria")
    if not CRITERION_KEY.fullmatch(key):
        raise PrefloopError(
            f"The key {key!r} of a criterion must begin with a letter and have at most 40 of "
            "a–z, 0–9 and _.",
            field="criteria",
        )
    definition = storable(criterion.get("definition", ""), "criteria").strip()
    return {"key": key, "name": name, "definition": definition[:500]}


def key_of(name: str) -> str:
    """`Factually correct` becomes `factually_correct`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
