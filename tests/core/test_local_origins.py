"""The operator allows an origin inside by starting a server there; nobody else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.egress import EgressRefused, check_url
from core.local_origins import allow_local, forbid_local, local_origins

URL = "http://127.0.0.1:8100/v1"


@pytest.fixture(autouse=True)
def data_dir(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    settings.EGRESS_ORIGINS = []
    return tmp_path


def test_an_origin_is_allowed_until_its_server_ends() -> None:
    with pytest.raises(EgressRefused, match="not on the public internet"):
        check_url(URL)
    allow_local("local: small", "http://127.0.0.1:8100")
    assert check_url(URL) == URL
    with pytest.raises(EgressRefused):
        check_url("http://127.0.0.1:8101/v1")
    forbid_local("local: small")
    with pytest.raises(EgressRefused):
        check_url(URL)


def test_a_server_that_moves_leaves_nothing_allowed_behind() -> None:
    allow_local("local: small", "http://127.0.0.1:8100")
    allow_local("local: other", "http://127.0.0.1:8200")
    allow_local("local: small", "http://127.0.0.1:8300")
    assert local_origins() == {"http://127.0.0.1:8200", "http://127.0.0.1:8300"}
    forbid_local("local: unknown")
    assert len(local_origins()) == 2
