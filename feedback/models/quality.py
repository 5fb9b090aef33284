"""What each labeler's work was like at a moment, kept where computing it anew takes too long."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from annotation.models import Project


class QualityReport(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="quality_reports")
    # As feedback.quality_records writes them.
    figures = models.JSONField()
    answers = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["project", "-id"], name="quality_newest")]

    def __str__(self) -> str:
        return f"quality in {self.project}, {self.created_at:%Y-%m-%d %H:%M}"
