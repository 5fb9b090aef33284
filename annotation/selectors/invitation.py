"""Invitations as managers list them, and whether a link still opens the door."""

from __future__ import annotations

import hashlib

from django.db.models import QuerySet
from django.utils import timezone

from annotation.access import Capability, capabilities
from annotation.models import Invitation, Project


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def find_invitation(secret: str) -> Invitation | None:
    rows = Invitation.objects.select_related("project", "created_by")
    return rows.filter(token_hash=digest(secret)).first()


def why_closed(invitation: Invitation) -> str:
    """Empty while the link may be used."""
    if invitation.revoked_at is not None:
        return "it was withdrawn"
    if invitation.expires_at <= timezone.now():
        return "its time has run out"
    if invitation.uses >= invitation.most_uses:
        return "it has been used as often as it may be"
    maker = invitation.created_by
    if not maker.is_active or Capability.MANAGE not in capabilities(maker, invitation.project):
        return "whoever made it does not manage the project any more"
    return "the project is closed" if invitation.project.archived_at is not None else ""


def invitations_of(project: Project) -> QuerySet[Invitation]:
    return Invitation.objects.filter(project=project).select_related("project", "created_by")
