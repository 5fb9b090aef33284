"""Immutable dataset versions, and the files made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models import Project
from core.models import Job

if TYPE_CHECKING:
    from core.models import User


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def visible_to(self, user: User) -> SnapshotQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class Snapshot(models.Model):
    """The records lie as canonical JSONL under DATA_DIR/snapshots/<hash>/."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="snapshots")
    version = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True)
    # sha256 over the canonical JSONL of both sides.
    content_hash = models.CharField(max_length=64)
    # Counts by side, kind, state and criterion; what was left out and why; policy; protocol.
    manifest = models.JSONField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    # Set when withdrawn text made a new hash: this one's files are gone.
    replaced_by = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="replaces"
    )

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="snapshot_version_unique"),
        ]

    def __str__(self) -> str:
        return f"snapshot {self.version} of {self.project}"


class ExportQuerySet(models.QuerySet["Export"]):
    def visible_to(self, user: User) -> ExportQuerySet:
        return self.filter(project__in=Project.objects.visible_to(user))


class Export(models.Model):
    class Shape(models.TextChoices):
        PAIRS = "pairs", "Pairs (plain)"
        PAIRS_CONVERSATIONAL = "pairs_conversational", "Pairs (conversational)"
        BINARY = "binary", "Binary"
        LISTS = "lists", "Ranked lists"
        DEMONSTRATIONS = "demonstrations", "Demonstrations (rewrites)"
        RECORDS = "records", "Snapshot records"
        JUDGMENTS = "judgments", "Raw judgments"

    class Format(models.TextChoices):
        JSONL = "jsonl", "JSONL"
        PARQUET = "parquet", "Parquet"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="exports")
    # Raw judgments need none.
    snapshot = models.ForeignKey(
        Snapshot, null=True, on_delete=models.PROTECT, related_name="exports"
    )
    shape = models.CharField(max_length=25, choices=Shape.choices)
    format = models.CharField(max_length=10, choices=Format.choices)
    # {"side": "train", "criterion": "overall", "ties": false, "binary_from_pairs": false}
    options = models.JSONField(default=dict)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    rows = models.PositiveIntegerField(null=True)
    # Relative to DATA_DIR/exports.
    file_name = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = ExportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="export_has_its_source",
                condition=Q(snapshot__isnull=False) | Q(shape="judgments"),
            ),
        ]
