"""Measures how well the labelers of a project work, and keeps the figures."""

from __future__ import annotations

from django.utils import timezone

from annotation.models import Project
from feedback.models import QualityReport
from feedback.progress import ShowsProgress
from feedback.quality_records import records_of
from feedback.selectors.quality import load_work
from feedback.services.policy import current_policy


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
