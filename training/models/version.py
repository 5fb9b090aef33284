"""Model versions, how well they did, and which one is promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.models import Generator, Project
from core.models import Job
from feedback.models import Snapshot
from training.models.run import TrainingRun

if TYPE_CHECKING:
    from core.models import User


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    def visible_to(self, user: User) -> ModelVersionQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class ModelVersion(models.Model):
    """The weights lie under DATA_DIR/versions/<number of the project>/; see `folder`."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="model_versions")
    number = models.PositiveIntegerField()
    run = models.OneToOneField(
        TrainingRun, null=True, on_delete=models.PROTECT, related_name="model_version"
    )
    generator = models.OneToOneField(
        Generator, on_delete=models.PROTECT, related_name="model_version"
    )
    # Relative to DATA_DIR.
    folder = models.CharField(max_length=200)
    # Everything that made it: snapshot hash, method, config, seed, reference, code version,
    # weights hash; for an untrained base model only its name and hash.
    lineage = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["project", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="model_version_unique"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class Evaluation(models.Model):
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="evaluations")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    # As written by the training library: accuracy, margin, KL, lengths, each with its interval.
    figures = models.JSONField()
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]


class Promotion(models.Model):
    """The newest row tells which version is promoted; rolling back adds a row too."""

    class Action(models.TextChoices):
        PROMOTE = "promote"
        ROLL_BACK = "roll_back"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="promotions")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    previous = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    action = models.CharField(max_length=10, choices=Action.choices)
    note = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
