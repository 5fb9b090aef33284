"""A scripted server for a whole file of tests, and a judge that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from tests.asked_judges import Court, make_asked_judge, make_priced_model, make_provider
from tests.cast import make_project
from tests.llm_server import LlmServer, start_llm_server


@pytest.fixture(scope="module")
def running_server() -> Iterator[LlmServer]:
    with start_llm_server() as server:
        yield server


@pytest.fixture
def server(running_server: LlmServer, settings: LazySettings) -> LlmServer:
    """At its best, and allowed by the operator."""
    running_server.change(
        rates={}, verdict="hash", sleep_ms=0.0, position_bias=0.0, retry_after_form="both"
    )
    settings.EGRESS_ORIGINS = [running_server.url]
    return running_server


@pytest.fixture
def court(server: LlmServer, transactional_db: None) -> Court:
    project = make_project()
    model = make_priced_model(make_provider(server))
    return Court(project, make_asked_judge(project, model), server)
