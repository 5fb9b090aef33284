"""Measures how well the labelers of a project work, and keeps the figures."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from annotation.models import Project
from core import jobs
from core.models import Job, User
from feedback.models import QualityReport
from feedback.progress import ShowsProgress
from feedback.quality_records import records_of
from feedback.selectors.agreement import unfinished_job
from feedback.selectors.labelers import is_measured_at_once
from feedback.selectors.quality import load_work
from feedback.services.policy import current_policy

GOOD_FOR = timedelta(minutes=10)


def measure_quality(*, project: Project, context: ShowsProgress | None = None) -> QualityReport:
    """A new report; what is judged while this measures makes it out of date."""
    began = timezone.now()
    if context is not None:
        context.progress(done=0, total=2, message="Reading the answers")
    loaded = load_work(project, current_policy(project))
    if context is not None:
        context.progress(done=1, total=2, message="Measuring each labeler")
    figures = records_of(loaded)
    return QualityReport.objects.create(
        project=project, figures=figures, answers=figures["answers"], created_at=began
    )


def request_quality(*, project: Project, by: User | None = None) -> Job | None:
    """A job for a large project; small ones are measured whenever somebody looks.

    Without a person who asks, a report younger than ten minutes is good enough.
    """
    if is_measured_at_once(project):
        return None
    newest = project.quality_reports.first()
    if by is None and newest is not None and timezone.now() - newest.created_at < GOOD_FOR:
        return None
    return unfinished_job(project, "measure_quality") or jobs.enqueue(
        "measure_quality", created_by=by, project_id=project.pk
    )
