"""A command that does a job itself, or waits for whoever does."""

from __future__ import annotations

import threading

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.utils.timezone import now

from core import jobs
from core.models import Job
from training.management.waiting import finish

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_that_was_quicker_is_waited_for() -> None:
    """It holds the job when the command looks, and ends it while the command waits."""
    job = Job.objects.create(kind="freeze_snapshot", queue="default")
    held = jobs.claim(job.pk)
    assert held is not None

    def end() -> None:
        jobs.finish(jobs.JobContext(held), Job.State.SUCCEEDED)
        connection.close()

    worker = threading.Timer(0.5, end)
    worker.start()
    finish(job, "Preparing", inline=True)
    worker.join()
    assert job.state == Job.State.SUCCEEDED


def test_a_job_that_was_stopped_is_told() -> None:
    job = Job.objects.create(
        kind="freeze_snapshot", queue="default", state=Job.State.CANCELLED, finished_at=now()
    )
    with pytest.raises(CommandError, match="The job is cancelled"):
        finish(job, "Preparing", inline=True)
