"""A scripted server for a whole file of tests, and providers that lead to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Provider, ProviderModel
from tests.llm_server import LlmServer

CALM: dict[str, Any] = {
    "rates": {}, "ignored": [], "refused": [], "retry_after": 1.0, "retry_after_form": "seconds",
    "sleep_ms": 0.0, "slow_ms": 500.0, "canned": False, "key": "", "models": ["scripted"],
    "seed": 0, "refused_with": 400,
}  # fmt: skip


@pytest.fixture
def server(running_server: LlmServer, settings: Any) -> LlmServer:
    """At its best, and allowed by the operator."""
    running_server.change(**CALM)
    settings.EGRESS_ORIGINS = [running_server.url]
    return running_server


@pytest.fixture
def provider(server: LlmServer, transactional_db: None) -> Callable[..., Provider]:
    """provider(can={…}, timeout_seconds=1) makes a row with the model `scripted`."""

    def make(can: dict[str, Any] | None = None, **fields: Any) -> Provider:
        given = {"name": "scripted", "base_url": server.base_url, "timeout_seconds": 20} | fields
        row = Provider.objects.create(**given)
        ProviderModel.objects.create(provider=row, name="scripted", can=can or {})
        return row

    return make
