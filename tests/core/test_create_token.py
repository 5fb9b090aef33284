"""A token by command."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from core.models import ApiToken
from core.services.api_token import digest
from tests.cast import Cast


def create(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("create_token", *args, stdout=out, stderr=StringIO(), **options)
    return out.getvalue().strip()


def test_it_works(cast: Cast) -> None:
    token = create("ROSA", "--scopes", "read", "write", "--name", "notebook")
    row = ApiToken.objects.get(digest=digest(token))
    assert (row.user, row.name, row.scopes) == (cast.rosa, "notebook", ["read", "write"])
    assert row.expires_at is not None


def test_it_may_never_end(cast: Cast) -> None:
    assert ApiToken.objects.get(digest=digest(create("rosa", "--days", "0"))).expires_at is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nobody"], "Nobody active here"),
        (["rosa", "--scopes", "admin"], "Only an admin"),
        (["rosa", "--scopes", "root"], "invalid choice"),
        (["rosa", "--days", "-1"], "--days is between"),
    ],
)
def test_what_is_wrong_is_said(cast: Cast, args: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        create(*args)
    assert not ApiToken.objects.exists()
