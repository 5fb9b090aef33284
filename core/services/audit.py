"""Adds a row to the audit trail, in the caller's transaction."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Func, QuerySet

from core.models import AuditEvent, User


def record_event(
    *,
    actor: User | None,
    action: str,
    target: models.Model,
    project_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    return AuditEvent.objects.create(
        actor=actor,
        action=action,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        project_id=project_id,
        detail=detail or {},
    )


# What people write into an event: these, and nothing else, the database lets go.
WORDS = ["reason", "note"]


def erase_trail_of(user: User) -> int:
    """What the person wrote into the trail goes; what they did, and when, stays."""
    return erase_trail(AuditEvent.objects.filter(actor=user))


def erase_trail(events: QuerySet[AuditEvent]) -> int:
    """How many events lost words."""
    names = ",".join(WORDS)
    without = Func(
        "detail",
        template=f"%(expressions)s - '{{{names}}}'::text[]",
        output_field=models.JSONField(),
    )
    return events.filter(detail__has_any_keys=WORDS).update(detail=without)
