"""Tokens for programs: made once, shown once, kept as a digest, revocable."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from core.errors import PrefloopError
from core.models import ApiToken, User
from core.services.audit import record_event

PREFIX = "prefloop_"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def create_api_token(
    *, user: User, name: str, scopes: list[str], days: int | None = 90
) -> tuple[ApiToken, str]:
    """Returns the row and the token itself, which is nowhere kept."""
    if not scopes or set(scopes) - set(ApiToken.Scope.values):
        raise PrefloopError(f"Choose scopes from {', '.join(ApiToken.Scope.values)}.")
    if ApiToken.Scope.ADMIN in scopes and not user.is_admin:
        raise PrefloopError("Only an admin's token can have the admin scope.")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        hint=token[: len(PREFIX) + 4],
        digest=digest(token),
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )
    record_event(actor=user, action="create_api_token", target=row, detail={"scopes": scopes})
    return row, token


@transaction.atomic
def revoke_api_token(*, token: ApiToken) -> ApiToken:
    """Revoking twice changes nothing."""
    revoked = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    token.refresh_from_db()
    if revoked:
        record_event(actor=token.user, action="revoke_api_token", target=token)
    return token
