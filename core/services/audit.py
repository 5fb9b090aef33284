"""Adds a row to the audit trail, in the caller's transaction."""

from __future__ import annotations

from typing import Any

from django.db import models

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
