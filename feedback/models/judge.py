"""What was measured of judges, what a project asks of them, and whether each may count."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from annotation.models import Judge, Project

SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class JudgeReport(models.Model):
    """A judge's card: its figures in a project, as computed at a moment."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_reports")
    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="reports")
    # As feedback.judge_records writes them: feedback.statistics.judge_card as plain JSON.
    figures = models.JSONField()
    # Answers of the judge that were measured, and of people beside them.
    verdicts = models.PositiveIntegerField()
    judgments = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["project", "judge", "-id"], name="judge_report_newest")]

    def __str__(self) -> str:
        return f"card of {self.judge} in {self.project}, {self.created_at:%Y-%m-%d %H:%M}"


def all_measured() -> list[str]:
    return [str(one) for one in JudgeGate.Measured.values]


class JudgeGate(models.Model):
    """What a project asks of a judge before its answers count. A change is a new version."""

    class Measured(models.TextChoices):
        FLIPS = "flips", "The flip rate"
        PARSE_ERRORS = "parse_errors", "Parse errors"
        INJECTION = "injection", "Injected answers"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_gates")
    version = models.PositiveIntegerField(default=1)
    min_items = models.PositiveIntegerField(default=50, validators=[MinValueValidator(1)])
    # The lower bound of its agreement with people may lie so far under people's with each other.
    margin = models.FloatField(default=0.05, validators=SHARE)
    # Null: the figure is not looked at.
    max_flips = models.FloatField(null=True, blank=True, default=0.25, validators=SHARE)
    max_parse_errors = models.FloatField(null=True, blank=True, default=0.05, validators=SHARE)
    max_injection = models.FloatField(null=True, blank=True, default=0.1, validators=SHARE)
    # Figures without which the gate stays closed; the others are passed over while unmeasured.
    must_measure = ArrayField(
        models.CharField(max_length=20, choices=Measured.choices), default=all_measured, blank=True
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["project", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "version"], name="judge_gate_version_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"gate v{self.version} of {self.project}"


class JudgeStanding(models.Model):
    """Whether a judge's gate was open by a report and a rule, and why; a row for each of both.

    Without a row the gate is closed. Only `decide_standing` moves the mark of the newest.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_standings")
    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="standings")
    report = models.ForeignKey(JudgeReport, on_delete=models.CASCADE, related_name="standings")
    gate = models.ForeignKey(JudgeGate, on_delete=models.CASCADE, related_name="standings")
    is_open = models.BooleanField()
    # In plain words.
    reasons = models.JSONField(default=list)
    is_newest = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "judge"],
                name="judge_standing_newest_unique",
                condition=models.Q(is_newest=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge} in {self.project}: {'open' if self.is_open else 'closed'}"
