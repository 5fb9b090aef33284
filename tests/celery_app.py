"""The product's Celery application and jobs for tests: `celery -A tests.celery_app worker`."""

from __future__ import annotations

import time
from typing import Any

import django

django.setup()

from config.celery import app  # noqa: E402
from core.jobs import JobContext, Queue, job_kind  # noqa: E402

__all__ = ["app"]


@job_kind("tests.add", queue=Queue.DEFAULT)
def add(context: JobContext) -> dict[str, Any]:
    return {"sum": context.args["a"] + context.args["b"]}


@job_kind("tests.sleep_once", queue=Queue.GPU)
def sleep_once(context: JobContext) -> dict[str, Any]:
    """Sleeps for long the first time, so that a test can kill its worker; then ends at once."""
    if context.job.attempts == 1:
        time.sleep(600)
    return {"attempts": context.job.attempts}
