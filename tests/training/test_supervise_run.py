"""A worker and its training child: real processes, killed at bad moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from core import jobs
from core.models import Job
from tests.training.conftest import Launch
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.selectors.run import step_samples
from training.services import cancel_run, child, resume_run
from training.services.supervise import run_folder

pytestmark = pytest.mark.django_db(transaction=True)

# Long enough to be killed in the middle, with checkpoints before it.
LONG: dict[str, Any] = {"max_steps": 400, "checkpoint_every": 20, "evaluate_every": 100}
PATIENCE = 300.0  # seconds: a busy machine is slow, and only what never comes is to fail
# Times differ from run to run, and the losses' last digits may.
TIMED = ("seconds_per_step",)


def points(run: TrainingRun) -> dict[tuple[str, int], float]:
    rows = MetricPoint.objects.filter(run=run).exclude(name__in=TIMED)
    return {(name, step): value for name, step, value in rows.values_list("name", "step", "value")}


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def child_pid(run: TrainingRun) -> int | None:
    file = run_folder(run) / "child.json"
    try:
        pid = int(json.loads(file.read_text())["pid"])
    except (OSError, ValueError):
        return None
    return pid if psutil.pid_exists(pid) else None


def steps_done(run: TrainingRun) -> int:
    file = run_folder(run) / "output" / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def in_background(run: TrainingRun) -> threading.Thread:
    """The worker's part, in a thread with a database connection of its own."""

    def work() -> None:
        try:
            jobs.run(run.job_id)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def run_again(run: TrainingRun) -> None:
    """As the sweep does, without its wait."""
    Job.objects.filter(pk=run.job_id).update(run_after=timezone.now())
    jobs.run(run.job_id)
    run.job.refresh_from_db()


def finished(run: TrainingRun) -> TrainingRun:
    run.job.refresh_from_db()
    assert (run.job.state, run.job.error) == (Job.State.SUCCEEDED, "")
    return run


def test_a_run_becomes_a_version(launch: Launch, orphans: Callable[[], list[int]]) -> None:
    run = launch()
    jobs.run(run.job_id)
    finished(run)
    measured = points(run)
    assert [step for name, step in sorted(measured) if name == "loss"] == [1, 2, 3, 4, 5, 6]
    assert measured["loss", 1] == pytest.approx(0.693147, abs=1e-5)
    assert run.job.result["peak_bytes"] > 2**27  # an interpreter that has loaded torch
    assert ("held_out_accuracy", 6) in measured
    version = ModelVersion.objects.get(run=run)
    folder = settings.DATA_DIR / version.folder
    assert (folder / "config.json").exists()
    assert list(folder.glob("*.safetensors"))
    assert not (run_folder(run) / "output" / "model").exists()
    assert version.lineage["snapshot"]["content_hash"] == run.snapshot.content_hash
    assert len(version.lineage["weights_hash"]) == len(version.lineage["code_version"]) == 64
    assert version.lineage["libraries"]["torch"]
    figures = version.evaluations.get().figures
    assert figures["held_out"]["examples"] == 3
    samples = list(run.samples.all())
    assert len(samples) == 2
    assert samples[0].prompt is not None
    assert samples[0].prompt.side == "held_out"
    through = step_samples(run)
    assert [[answer.step for answer in answers] for _, answers in through] == 2 * [[0, 2, 4, 6]]
    assert {str(messages) for messages, _ in through} == {
        str(sample.prompt.messages) for sample in samples if sample.prompt
    }


def test_a_finished_run_done_again_changes_nothing(launch: Launch) -> None:
    """As after a crash between the version's row and the job's end."""
    run = launch(config={"max_steps": 2})
    jobs.run(run.job_id)
    before = (points(run), ModelVersion.objects.get(run=run).lineage)
    Job.objects.filter(pk=run.job_id).update(state=Job.State.FAILED)
    resume_run(run=run, actor=None)
    jobs.run(run.job_id)
    finished(run)
    assert (points(run), ModelVersion.objects.get(run=run).lineage) == before


def test_kto_on_thumbs_and_a_lora_adapter(launch: Launch) -> None:
    config = {"adapter": "lora", "lora_rank": 2, "batch_size": 4, "max_steps": 2}
    run = launch("kto", config=config)
    jobs.run(run.job_id)
    finished(run)
    assert ModelVersion.objects.get(run=run).evaluations.get().figures["method"] == "kto"


def test_a_version_can_be_trained_further(launch: Launch) -> None:
    first = launch()
    jobs.run(first.job_id)
    second = launch(base_model="version:1")
    jobs.run(second.job_id)
    finished(second)
    assert ModelVersion.objects.get(run=second).number == 2
    assert ModelVersion.objects.get(run=second).generator.family == "version:1"


def test_a_killed_child_and_a_killed_worker_change_no_number(
    launch: Launch, orphans: Callable[[], list[int]], process_environment: dict[str, str]
) -> None:
    unbroken = launch(config=LONG)
    jobs.run(unbroken.job_id)
    finished(unbroken)
    run = launch(config=LONG)

    worker = in_background(run)
    wait_until(lambda: steps_done(run) > 50)
    os.killpg(wait_until(lambda: child_pid(run)), signal.SIGKILL)
    worker.join()
    run.job.refresh_from_db()
    assert (run.job.state, run.job.attempts) == (Job.State.QUEUED, 1)

    Job.objects.filter(pk=run.job_id).update(run_after=timezone.now())
    program = f"import django; django.setup(); from core import jobs; jobs.run({run.job_id})"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=process_environment, cwd=settings.BASE_DIR
    )
    wait_until(lambda: steps_done(run) > 150)
    process.kill()
    process.wait()
    wait_until(lambda: not orphans())

    Job.objects.filter(pk=run.job_id).update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.sweep()
    run_again(run)
    finished(run)
    assert run.job.attempts == 3
    assert "Going on from the checkpoint" in log_of(run)
    assert_equal_numbers(run, unbroken)


def log_of(run: TrainingRun) -> str:
    return (run_folder(run) / "log.txt").read_text()


def assert_equal_numbers(run: TrainingRun, unbroken: TrainingRun) -> None:
    ours, theirs = points(run), points(unbroken)
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == pytest.approx(theirs[key], rel=1e-6, abs=1e-9) for key in theirs)
    hashes = [ModelVersion.objects.get(run=one).lineage["weights_hash"] for one in (run, unbroken)]
    assert hashes[0] == hashes[1]


def test_a_cancelled_run_saves_its_state_and_leaves_nobody(
    launch: Launch, orphans: Callable[[], list[int]]
) -> None:
    run = launch(config=LONG | {"checkpoint_every": 1000})
    worker = in_background(run)
    wait_until(lambda: MetricPoint.objects.filter(run=run).exists())
    cancel_run(run=run, actor=None)
    worker.join()
    assert orphans() == []
    run.job.refresh_from_db()
    assert run.job.state == Job.State.CANCELLED
    assert list((run_folder(run) / "output" / "checkpoints").glob("step-*"))

    resume_run(run=run, actor=None)
    run_again(run)
    finished(run)
    losses = [step for name, step in points(run) if name == "loss"]
    assert sorted(losses) == list(range(1, 401))


def test_a_child_of_a_worker_that_stood_still_is_ended(launch: Launch) -> None:
    """Its lease ran out while it was stopped; the next worker must be alone in the folder."""
    run = launch()
    stale = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                             start_new_session=True)  # fmt: skip
    folder = run_folder(run)
    folder.mkdir(parents=True)
    started = psutil.Process(stale.pid).create_time()
    (folder / "child.json").write_text(json.dumps({"pid": stale.pid, "started": started}))
    jobs.run(run.job_id)
    finished(run)
    assert not psutil.pid_exists(stale.pid)


def test_a_lost_lease_ends_the_child_at_once(
    launch: Launch, orphans: Callable[[], list[int]]
) -> None:
    run = launch(config=LONG)
    worker = in_background(run)
    wait_until(lambda: MetricPoint.objects.filter(run=run).exists())
    Job.objects.filter(pk=run.job_id).update(fence=99)
    worker.join()
    assert orphans() == []
    run.job.refresh_from_db()
    assert run.job.state == Job.State.RUNNING  # it belongs to whoever holds fence 99
    before = MetricPoint.objects.filter(run=run).count()
    assert not ModelVersion.objects.filter(run=run).exists()
    assert MetricPoint.objects.filter(run=run).count() == before


def test_the_child_knows_no_secrets(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "CELERY_BROKER_URL"):
        monkeypatch.setenv(name, "canary-in-the-mine")
    run = launch(config=LONG)
    worker = in_background(run)
    pid = wait_until(lambda: child_pid(run))
    seen = set(wait_until(lambda: psutil.Process(pid).environ()))
    cancel_run(run=run, actor=None)
    worker.join()
    assert seen <= {*child.PASSED_ON, "HF_HUB_OFFLINE", "PYTHONUNBUFFERED", "TQDM_DISABLE",
                    "LC_CTYPE"}  # fmt: skip
    for file in run_folder(run).rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"canary-in-the-mine" not in content
            assert settings.SECRET_KEY.encode() not in content


def test_a_failure_says_why_and_is_not_tried_again(launch: Launch) -> None:
    run = launch(config={"learning_rate": 1.0, "max_grad_norm": 1e6, "max_steps": 50})
    weights = settings.DATA_DIR / "models" / "broken"
    source = settings.DATA_DIR / "models" / "tiny"
    weights.mkdir(parents=True, exist_ok=True)
    (weights / "config.json").write_bytes((source / "config.json").read_bytes())
    (weights / "model.safetensors").write_bytes(b"not weights")
    TrainingRun.objects.filter(pk=run.pk).update(base_model="broken")
    jobs.run(run.job_id)
    run.job.refresh_from_db()
    assert (run.job.state, run.job.attempts) == (Job.State.FAILED, 1)
    assert run.job.error
    assert "Traceback" not in run.job.error


def test_out_of_memory_is_told_and_not_tried_again(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system kills the child and counts it; the count is what tells it from any other kill."""
    counts = iter([3, 4])
    monkeypatch.setattr(child, "oom_kills", lambda: next(counts))
    run = launch(config=LONG)
    worker = in_background(run)
    wait_until(lambda: steps_done(run) > 5)
    os.killpg(wait_until(lambda: child_pid(run)), signal.SIGKILL)
    worker.join()
    run.job.refresh_from_db()
    assert run.job.state == Job.State.FAILED
    assert "ran out of memory" in run.job.error
