"""A job is a row first; a Celery message is only a hint that the row is there."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import ExpressionWrapper, F, Q, Value
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone


class JobQuerySet(models.QuerySet["Job"]):
    def due(self) -> JobQuerySet:
        return self.filter(state=Job.State.QUEUED, run_after__lte=timezone.now())

    def unhinted(self) -> JobQuerySet:
        """Due, and no message sent lately: as long ago as the job had waited by then."""
        now = timezone.now()
        lately = now - timedelta(seconds=settings.SWEEP_SECONDS)
        waited = ExpressionWrapper(F("hinted_at") - F("run_after"), models.DurationField())
        since = ExpressionWrapper(Value(now) - F("hinted_at"), models.DurationField())
        return self.due().filter(
            Q(hinted_at=None) | Q(hinted_at__lte=lately) & Q(GreaterThanOrEqual(since, waited))
        )

    def abandoned(self) -> JobQuerySet:
        return self.filter(state=Job.State.RUNNING, lease_until__lt=timezone.now())


class Job(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    kind = models.CharField(max_length=60)
    queue = models.CharField(max_length=20)
    args = models.JSONField(default=dict)
    project_id = models.BigIntegerField(null=True, db_index=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    run_after = models.DateTimeField(default=timezone.now)
    # When a message about it was last sent; the sweep sends another, ever more seldom.
    hinted_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    # NULL, not "": many jobs have no key, and UNIQUE lets only NULLs repeat.
    idempotency_key = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001
    progress = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["run_after"], name="job_due", condition=Q(state="queued")),
            models.Index(fields=["lease_until"], name="job_leased", condition=Q(state="running")),
        ]
        constraints = [
            models.CheckConstraint(
                name="job_running_is_leased",
                condition=Q(state="running", lease_until__isnull=False) | ~Q(state="running"),
            ),
            models.CheckConstraint(
                name="job_ended_has_time",
                condition=Q(state__in=["queued", "running"]) | Q(finished_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.state})"

    @property
    def is_over(self) -> bool:
        return self.state in self.ENDED

    @property
    def share_done(self) -> float | None:
        """Between 0 and 1, or None while the size of the work is not known."""
        total = float(self.progress.get("total") or 0)
        done = float(self.progress.get("done", 0))
        return min(1.0, done / total) if total else None

    @property
    def seconds_left(self) -> float | None:
        if self.started_at is None or self.is_over:
            return None
        told = self.progress.get("seconds_left")
        if told is not None:
            return float(told)
        share = self.share_done
        if not share:
            return None
        begun_at, begun_share = self.progress.get("begun_at"), self.progress.get("begun_share", 0.0)
        if begun_at is None or share <= begun_share:
            return None
        elapsed = timezone.now().timestamp() - begun_at
        left: float = elapsed / (share - begun_share) * (1.0 - share)
        return left
