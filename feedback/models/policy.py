"""The acceptance rule of a project, versioned: a change is a new row."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from annotation.models import Project


class Policy(models.Model):
    class Aggregation(models.TextChoices):
        MAJORITY = "majority", "Majority"
        DAWID_SKENE = "dawid_skene", "Dawid–Skene"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="policies")
    version = models.PositiveIntegerField(default=1)
    aggregation = models.CharField(
        max_length=15, choices=Aggregation.choices, default=Aggregation.MAJORITY
    )
    min_judgments = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1)],
        help_text="An item waits until so many people have judged it.",
    )
    min_agreement = models.FloatField(
        default=0.66,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="The share of votes that the winner needs; below it the item is contested.",
    )
    count_judges = models.BooleanField(
        default=False, help_text="Count judges' verdicts beside people's."
    )
    # {"<annotator id>": 0.5}; 0 excludes.
    weights = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["project", "version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="policy_version_unique"),
        ]

    def __str__(self) -> str:
        return f"policy v{self.version} of {self.project}"
