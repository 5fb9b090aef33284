"""Waits for a job with a progress bar, or does its work in this very process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from core import jobs
from core.models import Job
from core.progress_bar import ProgressBar
from training.models import TrainingRun

Complain = Callable[[str], object]


def finish(job: Job, label: str, *, inline: bool) -> None:
    """Returns when the job has succeeded. Ctrl-C leaves a worker at work; inline it stops.

    A worker may take the job before this process does; then it is waited for.
    """
    if inline:
        _run_inline(job, label)
    else:
        _watch(job, label)
    job.refresh_from_db()
    if job.state != Job.State.SUCCEEDED:
        raise CommandError(job.error or f"The job is {job.state}.")


def finish_all(runs: Iterable[TrainingRun], *, inline: bool, complain: Complain) -> int:
    """How many have not succeeded. One that fails does not keep the others from being tried."""
    failed = 0
    for run in runs:
        try:
            finish(run.job, f"Training with {run.name}", inline=inline)
        except CommandError as error:
            complain(f"{run.name}: {error}")
            failed += 1
    return failed


def _run_inline(job: Job, label: str) -> None:
    worker = threading.Thread(target=_work, args=[job.pk])
    worker.start()
    try:
        _watch(job, label, worker)
    except KeyboardInterrupt:
        jobs.request_cancel(job=job)
    finally:
        worker.join()


def _work(job_id: int) -> None:
    try:
        jobs.run(job_id)
    finally:
        connection.close()


def _watch(job: Job, label: str, worker: threading.Thread | None = None) -> None:
    with ProgressBar(label) as bar:
        while not job.is_over and (worker is None or worker.is_alive() or _is_held(job)):
            time.sleep(0.2)
            job.refresh_from_db()
            progress = job.progress
            note = progress.get("message", "") or "waiting for a worker"
            bar.show(progress.get("done", 0), progress.get("total", 0), note)


def _is_held(job: Job) -> bool:
    """By a worker that was quicker than this process, where both can do it."""
    return job.lease_until is not None and job.lease_until > timezone.now()
