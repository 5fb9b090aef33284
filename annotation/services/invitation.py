"""Links by which people join a project: the secret is shown once, its digest is kept."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from annotation.messages import storable
from annotation.models import Invitation, Membership, Project
from annotation.selectors.invitation import digest, why_closed
from core.errors import NotAllowed, PrefloopError
from core.models import User
from core.services.audit import record_event
from core.services.user import create_user

DAYS, MOST_DAYS = 7, 90
MOST_USES = 500


class InvitationClosed(PrefloopError):
    code = "invitation_closed"
    status = 410


@transaction.atomic
def create_invitation(
    *,
    project: Project,
    role: str,
    actor: User,
    days: int = DAYS,
    most_uses: int = 1,
    note: str = "",
) -> tuple[Invitation, str]:
    """Returns the row and the link's secret, which is nowhere kept."""
    _check(role, days, most_uses)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        token_hash=digest(secret),
        note=storable(note.strip(), "note")[:100],
        most_uses=most_uses,
        created_by=actor,
        expires_at=timezone.now() + timedelta(days=days),
    )
    _record(invitation, actor, "create_invitation", most_uses=most_uses, days=days)
    return invitation, secret


def _check(role: str, days: int, most_uses: int) -> None:
    if role not in Membership.Role.values:
        words = ", ".join(Membership.Role.values)
        raise PrefloopError(f"The role is one of {words}.", field="role")
    if not 1 <= days <= MOST_DAYS:
        raise PrefloopError(f"A link lasts 1 to {MOST_DAYS} days.", field="days")
    if not 1 <= most_uses <= MOST_USES:
        raise PrefloopError(f"A link serves 1 to {MOST_USES} people.", field="most_uses")
    if role == Membership.Role.MANAGER and most_uses > 1:
        raise PrefloopError(
            "A link for a manager serves one person. Make one link for each.", field="most_uses"
        )


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: User) -> Invitation:
    """Revoking twice changes nothing; who has joined stays."""
    revoked = Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    invitation.refresh_from_db()
    if revoked:
        _record(invitation, actor, "revoke_invitation")
    return invitation


@transaction.atomic
def accept_invitation(*, invitation: Invitation, user: User) -> Membership:
    """Who is a member keeps role and state, and takes no use of the link."""
    Project.objects.select_for_update(no_key=True).get(pk=invitation.project_id)
    known = Membership.objects.filter(project=invitation.project_id, user=user).first()
    if known is not None and known.state == Membership.State.LEFT:
        raise NotAllowed(
            "You were in this project before and have left it; a link does not lead back. "
            "Ask a manager of the project to add you again."
        )
    if known is not None:
        return known
    _take_use(invitation)
    membership = Membership.objects.create(
        project=invitation.project, user=user, role=invitation.role
    )
    _record(invitation, user, "accept_invitation", user=user.pk)
    return membership


@transaction.atomic
def join_as_stranger(
    *, invitation: Invitation, username: str, password: str, name: str = ""
) -> Membership:
    """An account and its membership, both or neither."""
    _check_open(invitation)
    user = create_user(username=username, password=password, name=name)
    return accept_invitation(invitation=invitation, user=user)


def _take_use(invitation: Invitation) -> None:
    """The row count decides between two who come at once for the last use."""
    _check_open(invitation)
    taken = Invitation.objects.filter(
        pk=invitation.pk, revoked_at=None, expires_at__gt=Now(), uses__lt=F("most_uses")
    ).update(uses=F("uses") + 1)
    if not taken:
        invitation.refresh_from_db()
        _check_open(invitation)
        raise InvitationClosed("This link changed a moment ago. Open it again.")


def _check_open(invitation: Invitation) -> None:
    if why := why_closed(invitation):
        raise InvitationClosed(f"This link cannot be used any more: {why}.")


def _record(invitation: Invitation, actor: User, action: str, **detail: int) -> None:
    record_event(
        actor=actor,
        action=action,
        target=invitation,
        project_id=invitation.project_id,
        detail={"role": invitation.role, **detail},
    )
