"""Agreement as computed at a moment, for a kind and a criterion."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from annotation.models import Kind, Project


class AgreementReport(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="agreement_reports")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    criterion = models.CharField(max_length=40)
    # The figures of feedback.statistics, as plain JSON, with method and parameters.
    figures = models.JSONField()
    judgments = models.PositiveIntegerField()
    # The last judgment seen: an unchanged project needs no new report.
    last_judgment_id = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "kind", "criterion", "-id"], name="agreement_newest")
        ]
