"""Closes the loop: a promoted version answers the project's prompts, people compare the answers."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import transaction
from django.db.models import Max

from annotation.models import Project, Prompt
from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import Job, User
from core.services.audit import record_event
from training.models import Loop, ModelVersion, Promotion, Round
from training.selectors.model import find_model, version_name
from training.selectors.promotion import promoted_versions
from training.services.client_key import KeyUsed

SIDES = {"all": ("train", "held_out"), "train": ("train",), "held_out": ("held_out",)}


@transaction.atomic
def request_samples(
    *,
    version: ModelVersion,
    created_by: User | None,
    sides: str = "all",
    limit: int | None = None,
    max_new_tokens: int = 256,
    temperature: float = 0.8,
    client_key: str | None = None,
) -> Job:
    """Queues sampling with the promoted version, as this version's round of the loop."""
    project = Project.objects.select_for_update(no_key=True).get(pk=version.project_id)
    way = promoted_versions(project)
    if way[-1:] != [version]:
        raise Conflict(
            f"Version {version.number} is not promoted, so it does not write for the labelers. "
            "Promote it first."
        )
    this_round = _round(project, version, created_by)
    job = _enqueue(
        project=project,
        model=version_name(version),
        against=_older(version, way),
        batch=this_round.batch,
        created_by=created_by,
        sides=sides,
        limit=limit,
        priority=this_round.number,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        client_key=client_key,
    )
    record_event(
        actor=created_by,
        action="request_samples",
        target=version,
        project_id=project.pk,
        detail={"round": this_round.number},
    )
    return job


@transaction.atomic
def request_base_samples(
    *,
    project: Project,
    model: str,
    created_by: User | None,
    limit: int,
    batch: str,
    max_new_tokens: int = 160,
    client_key: str | None = None,
) -> Job:
    """Queues sampling with a base model; its answers are compared with those that are there."""
    return _enqueue(
        project=project,
        model=model,
        against=None,
        batch=batch,
        created_by=created_by,
        sides="all",
        limit=limit,
        priority=0,
        max_new_tokens=max_new_tokens,
        temperature=0.8,
        client_key=client_key,
    )


def _enqueue(
    *,
    project: Project,
    created_by: User | None,
    sides: str,
    limit: int | None,
    model: str,
    client_key: str | None,
    max_new_tokens: int,
    temperature: float,
    **args: Any,
) -> Job:
    if sides not in SIDES:
        raise PrefloopError(f"Prompts are chosen by {', '.join(SIDES)}.")
    if limit is not None and limit < 1:
        raise PrefloopError("At least one prompt is needed.")
    if not 1 <= max_new_tokens <= 4096:
        raise PrefloopError("An answer has between 1 and 4096 tokens.")
    if not 0.0 <= temperature <= 5.0:
        raise PrefloopError("The temperature is between 0 and 5.")
    find_model(project, model)
    prompts = choose_prompts(project, sides=sides, limit=limit)
    if not prompts:
        raise PrefloopError("The project has no such prompts. Import some first.")
    asked = {
        "model": model,
        "sides": sides,
        "limit": limit,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
    }
    job = jobs.enqueue(
        "sample_responses",
        args={"project": project.pk, "prompts": prompts, **asked, **args},
        created_by=created_by,
        project_id=project.pk,
        idempotency_key=f"sample:{project.pk}:{client_key}" if client_key else None,
    )
    # Not the prompts, which may be more by now.
    if any(job.args.get(name, value) != value for name, value in asked.items()):
        raise KeyUsed("job", job.pk)
    return job


def choose_prompts(project: Project, *, sides: str, limit: int | None) -> list[int]:
    """In an order that is random and always the same, so that more is a superset of fewer."""
    keys = Prompt.objects.filter(
        project=project, side__in=SIDES[sides], withdrawn_at=None
    ).values_list("pk", flat=True)
    return sorted(keys, key=lambda key: hashlib.sha256(str(key).encode()).digest())[:limit]


def _older(version: ModelVersion, way: list[ModelVersion]) -> str:
    """What the new answers are compared with: the version before, or what training began from."""
    if len(way) > 1:
        return version_name(way[-2])
    if version.run is None:
        raise Conflict("This version was not trained here, so there is nothing before it.")
    return version.run.base_model


def _round(project: Project, version: ModelVersion, created_by: User | None) -> Round:
    """One for each version; asking again goes on with it. The caller holds the project's row."""
    loop, _ = Loop.objects.get_or_create(project=project, defaults={"created_by": created_by})
    existing = loop.rounds.filter(version=version).first()
    if existing is not None:
        return existing
    number = (loop.rounds.aggregate(last=Max("number"))["last"] or 0) + 1
    promotion = Promotion.objects.filter(version=version).first()
    return Round.objects.create(
        loop=loop,
        number=number,
        version=version,
        promotion=promotion,
        run=version.run,
        snapshot=version.run.snapshot if version.run else None,
        batch=f"round {number}",
    )
