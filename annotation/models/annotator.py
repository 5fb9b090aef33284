"""Whoever judges, by a pseudonym: a person, a judge version, an imported worker, or end users."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.item import Item


class Judge(models.Model):
    """A versioned model with its protocol and template. Imported verdicts have judges too."""

    class Origin(models.TextChoices):
        CONFIGURED = "configured"
        IMPORTED = "imported"

    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.CONFIGURED)
    model_name = models.CharField(max_length=150)
    family = models.CharField(max_length=100, blank=True)
    protocol = models.CharField(max_length=60, blank=True)
    template = models.TextField(blank=True)
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="judge_version_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Annotator(models.Model):
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="annotator"
    )
    judge = models.OneToOneField(
        Judge, null=True, on_delete=models.PROTECT, related_name="annotator"
    )
    # An imported worker: the data set's name and the id that it gives.
    source = models.CharField(max_length=100, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    # The end users of an application, as one annotator.
    application = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="annotator_is_exactly_one",
                condition=(
                    Q(user__isnull=False, judge__isnull=True, source="", application="")
                    | Q(user__isnull=True, judge__isnull=False, source="", application="")
                    | Q(user__isnull=True, judge__isnull=True, application="") & ~Q(source="")
                    | Q(user__isnull=True, judge__isnull=True, source="") & ~Q(application="")
                ),
            ),
            models.UniqueConstraint(
                fields=["source", "external_id"],
                name="annotator_imported_unique",
                condition=~Q(source=""),
            ),
            models.UniqueConstraint(
                fields=["application"],
                name="annotator_application_unique",
                condition=~Q(application=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.judge) if self.judge_id else self.pseudonym

    @property
    def pseudonym(self) -> str:
        return f"annotator {self.uuid.hex[:6]}"

    @property
    def is_judge(self) -> bool:
        return self.judge_id is not None


class JudgeCall(models.Model):
    """One call of a judge's model; the row is written before the call, so none is paid unseen."""

    class State(models.TextChoices):
        INTENDED = "intended"
        DONE = "done"
        FAILED = "failed"
        UNKNOWN = "unknown"

    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="calls")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="judge_calls")
    call_key = models.CharField(max_length=64, unique=True)
    purpose = models.CharField(max_length=20)
    shown_order = models.JSONField(default=list)
    sample_index = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INTENDED)
    reply = models.JSONField(default=dict, blank=True)
    verdict = models.JSONField(default=dict, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    reserved_cost = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    settled_cost = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    latency_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["judge", "item"], name="judge_call_item")]
