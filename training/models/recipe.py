"""A recipe: runs that follow one another, each with a row that waits for its turn."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.models import Project
from feedback.models import Snapshot
from training.models.run import TrainingRun


class Recipe(models.Model):
    """Runs that follow one another. A step gets its run when the one before has succeeded."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="recipes")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    # Made by whoever asks, so that asking twice makes one.
    client_key = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    stopped_at = models.DateTimeField(null=True)
    # Why the next step could not be queued; empty when nothing is wrong.
    problem = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name


class RecipeStep(models.Model):
    recipe = models.ForeignKey(Recipe, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    method = models.CharField(max_length=40)
    criterion = models.CharField(max_length=40)
    # A model's name, or empty: the version of the step `starts_from`.
    base_model = models.CharField(max_length=200, blank=True)
    starts_from = models.PositiveIntegerField(null=True)
    # The step whose version is the reward model of this one.
    rewarded_by = models.PositiveIntegerField(null=True)
    config = models.JSONField(default=dict)
    data_options = models.JSONField(default=dict)
    run = models.OneToOneField(
        TrainingRun, null=True, on_delete=models.PROTECT, related_name="recipe_step"
    )

    class Meta:
        ordering = ["recipe", "position"]
        constraints = [
            models.UniqueConstraint(fields=["recipe", "position"], name="recipe_step_unique"),
        ]
