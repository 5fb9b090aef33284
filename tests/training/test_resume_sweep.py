"""A sweep that was stopped as a whole goes on as a whole."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEvent, Job
from feedback.models import Snapshot
from tests.api import Api
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY
from training.models import Sweep
from training.services import queue_sweep, resume_sweep, stop_sweep

pytestmark = pytest.mark.usefixtures("tiny_model_folder")


@pytest.fixture
def stopped(cast: Cast, snapshot: Snapshot) -> Sweep:
    """Of its four runs one is done and one has failed; the others were stopped."""
    sweep = queue_sweep(
        project=cast.project, snapshot=snapshot, method="dpo", criterion="overall", base_model=TINY,
        config=QUICK, created_by=cast.ada, grid={"beta": [0.1, 0.2, 0.3, 0.4]},
    )  # fmt: skip
    for run, state in zip(sweep.runs.order_by("pk"), ("succeeded", "failed"), strict=False):
        Job.objects.filter(pk=run.job_id).update(state=state, finished_at=timezone.now())
    stop_sweep(sweep=sweep, actor=cast.ada)
    return sweep


def states(sweep: Sweep) -> list[str]:
    return list(sweep.runs.order_by("pk").values_list("job__state", flat=True))


RESUMED = ["succeeded", "failed", "queued", "queued"]


def test_what_was_stopped_goes_on(stopped: Sweep, cast: Cast) -> None:
    assert len(resume_sweep(sweep=stopped, actor=cast.ada)) == 2
    assert states(stopped) == RESUMED
    assert AuditEvent.objects.filter(action="resume_run", actor=cast.ada).count() == 2
    assert resume_sweep(sweep=stopped, actor=cast.ada) == []


def test_from_its_page(stopped: Sweep, client: Client, cast: Cast) -> None:
    client.force_login(cast.ada)
    page, url = (
        reverse(f"training:{name}", args=[stopped.project_id, stopped.pk])
        for name in ("sweep", "sweep-resume")
    )
    assert "Resume the 2 stopped runs" in client.get(page).text
    assert "2 runs are queued again." in client.post(url, follow=True).text
    assert states(stopped) == RESUMED
    assert "stopped run" not in client.get(page).text
    client.force_login(cast.rosa)  # who may look, not train
    stop_sweep(sweep=stopped, actor=cast.ada)
    assert "stopped run" not in client.get(page).text
    assert client.post(url).status_code == 403


def test_by_rest(stopped: Sweep, cast: Cast) -> None:
    path = f"sweeps/{stopped.pk}/resume"
    assert Api(cast.mary).post(path, {}).status_code == 403
    answer = Api(cast.ada).post(path, {}).json()
    assert sorted(run["job"]["state"] for run in answer["runs"]) == sorted(RESUMED)


def test_from_a_terminal(stopped: Sweep) -> None:
    def call(*words: str) -> str:
        out = io.StringIO()
        call_command("resume", *words, stdout=out, stderr=out)
        return out.getvalue()

    sweep = f"--sweep={stopped.pk}"
    with pytest.raises(CommandError, match="one by one"):
        call(sweep, "--kl-budget=9")
    assert "that go on: 2." in call(sweep, "--no-wait")
    assert states(stopped) == RESUMED
    for words, said in (
        ((sweep,), "none was resumed"), (("--sweep=0",), "no sweep 0"), ((), "is required"),
        (("1", sweep), "not allowed with"),
    ):  # fmt: skip
        with pytest.raises(CommandError, match=said):
            call(*words)


def test_one_that_fails_does_not_keep_the_others_from_being_tried(
    stopped: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def finish(job: Job, label: str, *, inline: bool) -> None:
        tried.append(label)
        raise CommandError("no memory")

    monkeypatch.setattr("training.management.waiting.finish", finish)
    said = io.StringIO()
    with pytest.raises(CommandError, match="2 of 2 runs have not succeeded"):
        call_command("resume", f"--sweep={stopped.pk}", stdout=io.StringIO(), stderr=said)
    assert tried == ["Training with beta 0.3", "Training with beta 0.4"]
    assert "beta 0.4: no memory" in said.getvalue()
