"""Judges: made here by a researcher, or known by name from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from annotation.judging.protocol import JudgeSpec, check_spec, get_protocol
from annotation.judging.protocols.base import needs_of
from annotation.judging.settings import JudgeSettings
from annotation.models import Judge, Kind, Project, ProviderModel
from core.canonical_json import digest
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event

LONGEST_NAME = 100


@transaction.atomic
def create_judge(
    *,
    project: Project,
    name: str,
    model: ProviderModel,
    protocol: str,
    template: str,
    settings: JudgeSettings | Mapping[str, Any],
    created_by: User | None,
    origin: str = Judge.Origin.CONFIGURED,
) -> Judge:
    """A new version where the name is taken; where nothing differs from it, that version itself.

    `template` is JSON, as default_template() gives it: copied, so that it cannot change later.
    """
    name = _checked_name(name)
    spec = _spec(model, protocol, template, settings)
    _check_model(model, spec)
    # Two people who save at once get two versions, one after the other.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    versions = Judge.objects.filter(project=project, name=name)
    key = content_key(model, spec)
    same = versions.filter(content_key=key, origin=origin).order_by("-version").first()
    if same is not None:
        return same
    newest = versions.order_by("-version").first()
    judge = Judge.objects.create(
        project=project,
        name=name,
        version=newest.version + 1 if newest else 1,
        origin=origin,
        model=model,
        model_name=model.name,
        family=model.family,
        protocol=spec.protocol,
        protocol_version=spec.protocol_version,
        template=template,
        settings=spec.settings.to_dict(),
        content_key=key,
        created_by=created_by,
    )
    record_event(
        actor=created_by,
        action="create_judge",
        target=judge,
        project_id=project.pk,
        detail={"name": name, "version": judge.version, "model": model.name, "protocol": protocol},
    )
    return judge


def content_key(model: ProviderModel, spec: JudgeSpec) -> str:
    return digest(
        {
            "model": [model.provider_id, model.name],
            "protocol": [spec.protocol, spec.protocol_version],
            "template": json.loads(spec.template),
            "settings": spec.settings.to_dict(),
        }
    )


def import_judge(*, name: str, model_name: str, family: str = "") -> Judge:
    """The imported judge of this name; a judge that was configured here keeps its name."""
    judge, _ = Judge.objects.get_or_create(
        project=None,
        name=name,
        version=1,
        defaults={
            "origin": Judge.Origin.IMPORTED,
            "model_name": model_name,
            "family": family,
        },
    )
    if judge.origin != Judge.Origin.IMPORTED:
        raise Conflict(f"A judge of this instance is called {name}. Import under another name.")
    return judge


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise PrefloopError(f"A name has 1 to {LONGEST_NAME} characters.", field="name")
    return name


def _spec(
    model: ProviderModel,
    protocol: str,
    template: str,
    settings: JudgeSettings | Mapping[str, Any],
) -> JudgeSpec:
    try:
        known = get_protocol(protocol)
        if not isinstance(settings, JudgeSettings):
            settings = JudgeSettings.from_dict(known.defaults.to_dict() | dict(settings))
        spec = JudgeSpec(known.key, known.version, template, settings, model.name)
        problems = [check_spec(spec, kind) for kind in Kind.values]
    except ValueError as error:
        field, _, said = str(error).partition(": ")
        raise PrefloopError(said or field, field=field if said else "settings") from error
    if all(problems):
        _, fewest = min((len(some), some) for some in problems)
        raise PrefloopError(" ".join(fewest))
    return spec


def _check_model(model: ProviderModel, spec: JudgeSpec) -> None:
    needs = sorted(needs_of(spec.settings))
    if needs and not model.can:
        raise PrefloopError(
            f"{model.name} was not probed yet, and these settings need {', '.join(needs)}. Ask an "
            "admin to probe it, or choose settings without.",
            field="model",
        )
    missing = [need for need in needs if not model.can.get(need)]
    if missing:
        raise PrefloopError(
            f"{model.name} gives no {', '.join(missing)}, which these settings need. Take soft "
            "labels from samples, or none, or choose another model.",
            field="soft_labels",
        )
