"""The life of a job: claimed once, fenced, leased, retried, resumed, swept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core import jobs
from core.errors import Conflict, PrefloopError
from core.models import Job


class Recorder:
    """A job kind whose handler does what the test says."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = None

    def __call__(self, context: jobs.JobContext) -> dict[str, Any]:
        self.calls += 1
        context.progress(done=1, total=2, message="Half way")
        if self.error:
            raise self.error
        return {"calls": self.calls}


@pytest.fixture
def recorder(db: None) -> Iterator[Recorder]:
    handler = Recorder()
    jobs.job_kind("test", max_attempts=2)(handler)
    yield handler
    del jobs.REGISTRY["test"]


def claimed(job: Job) -> jobs.JobContext:
    taken = jobs.claim(job.pk)
    assert taken is not None
    return jobs.JobContext(taken)


def test_it_works(recorder: Recorder) -> None:
    job = jobs.enqueue("test", args={"a": 1})
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.fence) == (Job.State.SUCCEEDED, 1, 1)
    assert job.result == {"calls": 1}
    assert job.progress["done"] == 1
    assert job.lease_until is None


def test_a_second_hint_does_nothing(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    jobs.run(job.pk)
    jobs.run(job.pk)
    assert recorder.calls == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_one_wins() -> None:
    jobs.job_kind("race")(lambda context: None)
    job = jobs.enqueue("race")
    won: list[bool] = []
    barrier = threading.Barrier(6)

    def claim() -> None:
        barrier.wait()
        won.append(jobs.claim(job.pk) is not None)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del jobs.REGISTRY["race"]
    assert sorted(won) == [False] * 5 + [True]


def test_an_idempotency_key_gives_the_same_job(recorder: Recorder) -> None:
    first = jobs.enqueue("test", idempotency_key="freeze 1")
    assert jobs.enqueue("test", idempotency_key="freeze 1") == first


def test_an_expected_error_is_told_and_not_retried(recorder: Recorder) -> None:
    recorder.error = PrefloopError("The held-out side is empty.")
    job = jobs.enqueue("test")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.FAILED, "The held-out side is empty.")


def test_what_an_early_end_names_is_kept_until_the_job_is_resumed(recorder: Recorder) -> None:
    recorder.error = jobs.EndedEarly("The cap is reached.", stopped_by="cap")
    job = jobs.enqueue("test")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.FAILED, "The cap is reached.")
    assert job.result == {"stopped_by": "cap"}
    assert jobs.resume(job=job).result == {}


def test_the_time_left_may_be_told_before_anything_is_done(recorder: Recorder) -> None:
    context = claimed(jobs.enqueue("test"))
    context.progress(done=0, total=10)
    context.job.refresh_from_db()
    assert context.job.seconds_left is None
    jobs.JobContext(context.job).progress(done=0, total=10, seconds_left=90)
    context.job.refresh_from_db()
    assert context.job.seconds_left == 90


def test_an_unexpected_error_is_retried_then_fails_without_its_details(recorder: Recorder) -> None:
    recorder.error = RuntimeError("secret detail")
    job = jobs.enqueue("test")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED
    assert job.run_after > timezone.now()
    Job.objects.update(run_after=timezone.now())
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "secret" not in job.error


def test_a_worker_that_lost_its_lease_writes_nothing(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    stale = claimed(job)
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.sweep()
    fresh = jobs.claim(job.pk)
    assert fresh is not None
    assert fresh.fence == 2
    with pytest.raises(jobs.LeaseLost):
        stale.progress(done=2, total=2)
    with pytest.raises(jobs.LeaseLost), stale.fenced():
        pass
    assert not jobs.finish(stale, Job.State.SUCCEEDED)


def test_the_sweep_fails_a_job_whose_worker_dies_each_time(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    for _ in range(2):
        Job.objects.update(run_after=timezone.now())
        assert jobs.claim(job.pk)
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert jobs.sweep()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "died" in job.error


def test_hints_come_ever_more_seldom(recorder: Recorder) -> None:
    """A queue behind hours of training must not fill with messages."""
    Job.objects.create(kind="test", queue=jobs.Queue.DEFAULT)
    sent: list[int] = []
    for second in range(0, 3600, 10):
        now = timezone.now()
        Job.objects.update(
            run_after=now - timedelta(seconds=second),
            hinted_at=now - timedelta(seconds=second - sent[-1]) if sent else None,
        )
        if Job.objects.unhinted().exists():
            sent.append(second)
    assert sent == [0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560]


def test_cancel_ends_a_queued_job_at_once(recorder: Recorder) -> None:
    job = jobs.request_cancel(job=jobs.enqueue("test"))
    assert job.state == Job.State.CANCELLED
    jobs.run(job.pk)
    assert recorder.calls == 0


def test_cancel_stops_a_running_job(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    context = claimed(job)
    assert jobs.request_cancel(job=job).state == Job.State.RUNNING
    with pytest.raises(jobs.Cancelled):
        context.progress(done=1, total=2)


def test_a_cancelled_job_is_resumed(recorder: Recorder) -> None:
    job = jobs.request_cancel(job=jobs.enqueue("test"))
    jobs.resume(job=job)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED


def test_a_job_that_succeeded_is_not_resumed(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    jobs.run(job.pk)
    job.refresh_from_db()
    with pytest.raises(Conflict, match="succeeded"):
        jobs.resume(job=job)


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_are_harmless() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [jobs.SWEEP_LOCK])
        outcome: list[bool] = []

        def other() -> None:
            outcome.append(jobs.sweep())
            connection.close()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert outcome == [False]


def test_the_database_refuses_a_running_job_without_lease(recorder: Recorder) -> None:
    job = jobs.enqueue("test")
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
