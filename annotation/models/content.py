"""Prompts, responses, and what wrote them."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from annotation.models.project import Project


class Generator(models.Model):
    """What wrote a response. Labelers never see it."""

    class Kind(models.TextChoices):
        MODEL_VERSION = "model_version", "Model version of this instance"
        MODEL = "model", "Outside model"
        PERSON = "person", "Person"
        DATASET = "dataset", "Data set"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=150, unique=True)
    family = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=15, choices=Kind.choices, default=Kind.MODEL)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class Side(models.TextChoices):
    TRAIN = "train", "Train"
    HELD_OUT = "held_out", "Held out"
    # The prompt joined clusters of both sides, so it may serve neither.
    NEITHER = "neither", "Neither"


class PromptCluster(models.Model):
    """Prompts that are nearly the same text, in any project: they share one side for ever."""

    side = models.CharField(max_length=8, choices=Side.choices)
    created_at = models.DateTimeField(default=timezone.now)


class PromptBand(models.Model):
    """One MinHash band: two prompts that share a band are in one cluster."""

    band = models.BigIntegerField(primary_key=True)
    # A dozen rows a prompt, written with their clusters under one lock: checking each again costs
    # a third of an import. Nobody looks bands up by cluster.
    cluster = models.ForeignKey(
        PromptCluster,
        on_delete=models.CASCADE,
        related_name="bands",
        db_constraint=False,
        db_index=False,
    )


class Prompt(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    # [{"role": "user", "content": "…"}]
    messages = models.JSONField()
    content_hash = models.CharField(max_length=64)
    external_id = models.CharField(max_length=200, blank=True)
    cluster = models.ForeignKey(PromptCluster, on_delete=models.PROTECT, related_name="prompts")
    side = models.CharField(max_length=8, choices=Side.choices)
    tags = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "content_hash"], name="prompt_unique"),
        ]
        indexes = [models.Index(fields=["project", "side"], name="prompt_side")]

    def __str__(self) -> str:
        return str(self.messages[-1]["content"])[:80]


class Response(models.Model):
    """Different models do write the same text: each has its own row."""

    # Canonical order is by this random value, so that position tells nothing.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="responses")
    generator = models.ForeignKey(Generator, on_delete=models.PROTECT, related_name="responses")
    # [{"role": "assistant", "content": "…"}]
    messages = models.JSONField()
    content_hash = models.CharField(max_length=64)
    # How it was sampled: temperature, seed, tokens, …
    sampling = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "generator", "content_hash"], name="response_unique"
            ),
        ]

    def __str__(self) -> str:
        return str(self.messages[-1]["content"])[:80]
