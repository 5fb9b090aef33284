"""A training run: its settings and numbers. Its state is its job's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.models import Project, Prompt
from core.models import Job
from core.plots.scales import format_number
from feedback.models import Snapshot
from training.alignment.methods import get_method

if TYPE_CHECKING:
    from core.models import User


class Sweep(models.Model):
    """A grid of settings: one run for each of its points."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="sweeps")
    name = models.CharField(max_length=100)
    # The settings that differ, each with its values: {"learning_rate": [1e-6, 5e-6]}.
    grid = models.JSONField()
    # Made by whoever asks, so that asking twice makes one.
    client_key = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def visible_to(self, user: User) -> TrainingRunQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class TrainingRun(models.Model):
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="training_runs")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="training_runs")
    name = models.CharField(max_length=100, blank=True)
    method = models.CharField(max_length=40)
    # Names a model of the operator's folders or allow-list, or "version:<number>"; never a path.
    base_model = models.CharField(max_length=200)
    criterion = models.CharField(max_length=40)
    # The training library's TrainingConfig, without paths.
    config = models.JSONField()
    # How the snapshot was turned into training files: {"binary_from_pairs": true}.
    data_options = models.JSONField(default=dict, blank=True)
    # What was foretold at the launch, in seconds and bytes; empty where nothing could be.
    estimate = models.JSONField(default=dict, blank=True)
    seed = models.PositiveIntegerField(default=0)
    code_version = models.CharField(max_length=64, blank=True)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, related_name="training_run")
    sweep = models.ForeignKey(Sweep, null=True, on_delete=models.SET_NULL, related_name="runs")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name or f"{self.method_title}, run {self.pk}"

    @property
    def method_title(self) -> str:
        return get_method(self.method).title

    @property
    def starts_from(self) -> str:
        """The base model as people call it: "version 3"."""
        return self.base_model.replace("version:", "version ", 1)


class MetricPoint(models.Model):
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metric_points")
    step = models.PositiveIntegerField()
    name = models.CharField(max_length=60)
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "step"], name="metric_point_unique"),
        ]


class Sample(models.Model):
    """What policy and reference wrote to the same held-out prompt, side by side."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="samples")
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.SET_NULL, related_name="+")
    position = models.PositiveIntegerField()
    prompt_messages = models.JSONField()
    policy_text = models.TextField()
    reference_text = models.TextField()
    figures = models.JSONField(default=dict)

    class Meta:
        ordering = ["run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="sample_position_unique"),
        ]


class StepSample(models.Model):
    """What the model in training wrote to a prompt after so many steps."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="step_samples")
    step = models.PositiveIntegerField()
    position = models.PositiveIntegerField()
    prompt_messages = models.JSONField()
    text = models.TextField()
    figures = models.JSONField(default=dict)

    class Meta:
        ordering = ["run", "position", "step"]
        constraints = [
            models.UniqueConstraint(fields=["run", "position", "step"], name="step_sample_unique"),
        ]

    @property
    def in_words(self) -> str:
        """How long the answer is and how it ended, then what else was measured on it."""
        rest = dict(self.figures)
        tokens, ended = rest.pop("tokens", 0), rest.pop("ended", None)
        length = f"{tokens:g} token{'' if tokens == 1 else 's'}"
        told = f"cut at {length}" if ended == 0 else length
        told += ", ended by itself" if ended else ""
        sources = [name for name in rest if name.startswith("reward_")]
        if len(sources) == 1 and rest[sources[0]] == rest.get("reward"):
            rest.pop(sources[0])  # the whole reward, once more
        measured = (
            f"{name.replace('_', ' ').replace('kl', 'KL')} {format_number(value)}"
            for name, value in sorted(rest.items())
        )
        return ", ".join([told, *measured])
