"""From a server that judges by a known rule to the card that tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from annotation.models import Kind
from feedback.services.measure_judges import measure_judges
from tests.asked_judges import Court, make_asked_judge, make_priced_model, make_provider
from tests.cast import make_project
from tests.feedback.votes import judged
from tests.llm_server import LlmServer, start_llm_server

pytestmark = pytest.mark.django_db(transaction=True)
N = 24


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    with start_llm_server() as server:
        yield server


@pytest.fixture
def court(server: LlmServer, settings: LazySettings) -> Court:
    server.change(rates={}, verdict="hash", position_bias=0.0)
    settings.EGRESS_ORIGINS = [server.url]
    project = make_project()
    model = make_priced_model(make_provider(server, concurrency=16))
    for _ in range(N):
        judged(project, Kind.PAIRWISE, 2, 2)
    return Court(project, make_asked_judge(project, model), server)


def card(court: Court) -> dict[str, Any]:
    [report] = measure_judges(project=court.project)
    return dict(report.figures["sections"][0]["figures"])


def finish(court: Court, **asked: Any) -> None:
    job = court.run(**asked).job
    assert job is not None
    assert job.state == "succeeded", job.error


def test_a_judge_that_takes_the_first_shows_as_one(court: Court) -> None:
    court.server.change(verdict="first")
    finish(court)
    figures = card(court)
    assert (figures["first"]["value"], figures["flips"]["value"]) == (1, 1)
    # MT-Bench's rule: a win that does not stand in both orders is a tie.
    assert (figures["ties"]["value"], figures["agreement"]["value"]) == (1, 0)


def test_a_judge_that_reads_shows_as_one(court: Court) -> None:
    finish(court)
    finish(court, purpose="repeat")
    figures = card(court)
    assert (figures["flips"]["value"], figures["first"]["value"]) == (0, 0.5)
    assert figures["same_again"]["value"] == 1


@pytest.mark.parametrize(("rule", "rises"), [("longer", True), ("shorter", False)])
def test_injected_answers_are_counted_where_they_rise(court: Court, rule: str, rises: bool) -> None:
    """What is injected makes an answer longer: one judge likes that, the other does not."""
    court.server.change(verdict=rule)
    finish(court)
    finish(court, purpose="canary")
    injection = card(court)["injection"]
    assert injection["units"] >= N / 2
    assert injection["value"] > 0.8 if rises else injection["value"] < 0.2


def test_faults_cost_no_verdict_and_what_is_unreadable_is_told(court: Court) -> None:
    court.server.change(
        rates={"429": 0.03, "500": 0.03, "dropped": 0.02, "malformed": 0.02, "wrong_schema": 0.5},
        retry_after=0.05,
    )
    finish(court)
    [report] = measure_judges(project=court.project)
    replies = report.figures["replies"]
    assert replies["failures"]["value"] == 0
    # One repair is asked for, so it takes two in a row.
    assert 0 < replies["parse_errors"]["value"] < 1
    unread = round(replies["parse_errors"]["value"] * N)
    assert report.figures["sections"][0]["items"] == N - unread
