"""Tokens: shown once, kept as a digest, scoped, expiring, revocable."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from core.errors import PrefloopError
from core.models import ApiToken, AuditEvent
from core.services.api_token import create_api_token, digest, revoke_api_token
from tests.cast import Cast


def schema_status(token: str) -> int:
    return Client().get("/api/schema/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_it_works(cast: Cast) -> None:
    row, token = create_api_token(user=cast.rosa, name="notebook", scopes=["read"])
    assert row.digest == digest(token)
    assert token not in str(ApiToken.objects.values().get())
    assert schema_status(token) == 200
    assert AuditEvent.objects.get().action == "create_api_token"


def test_a_revoked_token_is_refused(cast: Cast) -> None:
    row, token = create_api_token(user=cast.rosa, name="notebook", scopes=["read"])
    revoke_api_token(token=row)
    revoke_api_token(token=row)
    assert schema_status(token) == 401
    assert AuditEvent.objects.filter(action="revoke_api_token").count() == 1


def test_an_expired_token_is_refused(cast: Cast) -> None:
    _, token = create_api_token(user=cast.rosa, name="notebook", scopes=["read"], days=1)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert schema_status(token) == 401


def test_a_token_of_an_inactive_user_is_refused(cast: Cast) -> None:
    _, token = create_api_token(user=cast.rosa, name="notebook", scopes=["read"])
    cast.rosa.is_active = False
    cast.rosa.save(update_fields=["is_active"])
    assert schema_status(token) == 401


def test_nonsense_is_refused(db: None) -> None:
    assert schema_status("prefloop_nonsense") == 401


def test_unknown_scopes_are_refused(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="Choose scopes"):
        create_api_token(user=cast.rosa, name="x", scopes=["root"])


def test_only_an_admin_gets_the_admin_scope(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="Only an admin"):
        create_api_token(user=cast.rosa, name="x", scopes=["admin"])
    create_api_token(user=cast.ada, name="x", scopes=["admin"])
