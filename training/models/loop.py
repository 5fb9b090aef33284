"""A loop runs rounds: collect, freeze, train, evaluate, promote, sample, collect again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.models import Project
from feedback.models import Snapshot
from training.models.run import TrainingRun
from training.models.version import ModelVersion, Promotion


class Loop(models.Model):
    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="loop")
    # Method, settings and gates of each round's run.
    recipe = models.JSONField(default=dict)
    is_active = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)


class Round(models.Model):
    loop = models.ForeignKey(Loop, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(TrainingRun, null=True, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    promotion = models.ForeignKey(Promotion, null=True, on_delete=models.PROTECT, related_name="+")
    # The batch of items that the round's samples made.
    batch = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["loop", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["loop", "number"], name="round_number_unique"),
        ]
