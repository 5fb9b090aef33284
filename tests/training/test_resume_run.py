"""A run goes on from its last checkpoint, under a larger KL budget if one is given."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, Job
from tests.api import Api
from tests.cast import Cast
from tests.training.conftest import Launch
from training.models import TrainingRun
from training.services import resume_run

REWARDED: dict[str, Any] = {"reward_sources": {"short": {"kind": "length"}}}


@pytest.fixture
def stopped(launch: Launch) -> TrainingRun:
    """By its KL budget."""
    return failed(launch("grpo", config=REWARDED | {"kl_budget": 20.0}))


def failed(run: TrainingRun) -> TrainingRun:
    Job.objects.filter(pk=run.job_id).update(state=Job.State.FAILED, finished_at=timezone.now())
    return TrainingRun.objects.select_related("job").get(pk=run.pk)


def budget_and_state(run: TrainingRun) -> tuple[float | None, str]:
    found = TrainingRun.objects.select_related("job").get(pk=run.pk)
    return found.config["kl_budget"], found.job.state


def test_under_a_larger_budget(stopped: TrainingRun, cast: Cast) -> None:
    before = dict(stopped.config)
    assert resume_run(run=stopped, actor=cast.ada, kl_budget=30.0).state == Job.State.QUEUED
    stopped.refresh_from_db()
    assert stopped.config == before | {"kl_budget": 30.0}
    event = AuditEvent.objects.get(action="resume_run")
    assert (event.actor, event.detail) == (cast.ada, {"kl_budget": 30.0, "before": 20.0})


@pytest.mark.parametrize("budget", [None, 20.0])
def test_under_the_same(stopped: TrainingRun, cast: Cast, budget: float | None) -> None:
    resume_run(run=stopped, actor=cast.ada, kl_budget=budget)
    assert budget_and_state(stopped) == (20.0, Job.State.QUEUED)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (10.0, "of this run is 20 nats an answer, and can only be raised"),
        (-1.0, "below the smallest"),
        (2e6, "above the largest"),
        (float("nan"), "not a finite number"),
    ],
)
def test_a_budget_that_is_refused_changes_nothing(
    stopped: TrainingRun, cast: Cast, budget: float, words: str
) -> None:
    with pytest.raises(PrefloopError, match=words) as refused:
        resume_run(run=stopped, actor=cast.ada, kl_budget=budget)
    assert "kl_budget" in refused.value.fields
    assert budget_and_state(stopped) == (20.0, Job.State.FAILED)


def test_a_run_without_a_budget_gets_none(launch: Launch, cast: Cast) -> None:
    for run in (failed(launch("dpo")), failed(launch("grpo", config=REWARDED))):
        with pytest.raises(PrefloopError, match="has no KL budget"):
            resume_run(run=run, actor=cast.ada, kl_budget=30.0)
        assert budget_and_state(run) == (None, Job.State.FAILED)


def test_a_run_that_has_not_stopped_keeps_its_budget(launch: Launch, cast: Cast) -> None:
    run = launch("grpo", config=REWARDED | {"kl_budget": 20.0})
    with pytest.raises(Conflict):
        resume_run(run=run, actor=cast.ada, kl_budget=30.0)
    assert budget_and_state(run) == (20.0, Job.State.QUEUED)


def test_from_its_page(stopped: TrainingRun, client: Client, cast: Cast) -> None:
    client.force_login(cast.ada)
    url, page = (
        reverse(f"training:{name}", args=[stopped.project_id, stopped.pk])
        for name in ("run-resume", "run")
    )
    told = "Enter a number from 0 to 1,000,000."
    for wrong, words in (
        ("much", f"“much” is no KL budget. {told}"),
        ("-1", f"“-1” is no KL budget. {told}"),
        ("", f"the KL budget was left empty. {told}"),
        ("5", "not resumed under a KL budget of 5. The KL budget of this run is 20 nats an answer"),
    ):
        shown = client.post(url, {"kl_budget": wrong}, follow=True)
        assert shown.redirect_chain == [(page, 302)]
        assert words in shown.content.decode()
    assert budget_and_state(stopped) == (20.0, Job.State.FAILED)
    assert client.post(url, {"kl_budget": "30"}).status_code == 302
    assert budget_and_state(stopped) == (30.0, Job.State.QUEUED)


def test_by_rest(stopped: TrainingRun, cast: Cast) -> None:
    ada, path = Api(cast.ada), f"runs/{stopped.pk}/resume"
    for wrong in ({"kl_budget": 5}, {"kl_budget": "30"}, {"budget": 30}):
        assert ada.post(path, wrong).status_code == 400
    answer = ada.post(path, {"kl_budget": 30})
    assert (answer.json()["config"]["kl_budget"], answer.json()["job"]["state"]) == (30, "queued")


def test_from_a_terminal(stopped: TrainingRun) -> None:
    with pytest.raises(CommandError, match="can only be raised"):
        call_command("resume", str(stopped.pk), "--kl-budget=5", "--no-wait")
    out = io.StringIO()
    call_command("resume", str(stopped.pk), "--kl-budget=30", "--no-wait", stdout=out)
    assert f"Run {stopped.pk}" in out.getvalue()
    assert budget_and_state(stopped) == (30.0, Job.State.QUEUED)
    with pytest.raises(CommandError, match="no run 0"):
        call_command("resume", "0")
