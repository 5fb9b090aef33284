"""Projects, the versioned protocol they judge by, and the people in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.kinds import Kind
from core.compiled import Compiled, Slot

if TYPE_CHECKING:
    from core.models import User


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> ProjectQuerySet:
        """Every project for an admin, else those the user has not left."""
        return self if user.is_admin else self.of_member(user.pk)

    def of_member(self, user: int | Slot) -> ProjectQuerySet:
        return self.filter(
            pk__in=Membership.objects.filter(user_id=user)
            .exclude(state=Membership.State.LEFT)
            .values("project_id")
        )


class Project(models.Model):
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    overlap = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="How many people judge each item.",
    )
    lease_seconds = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(30)],
        help_text="How long an opened item waits for its labeler before others may take it.",
    )
    skip_limit = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1)],
        help_text="An item skipped this often leaves the queue and waits for the manager.",
    )
    daily_target = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="How many answers a labeler is asked for in a day; left empty, none is named.",
    )
    gold_share = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(50)],
        help_text="Of 100 items handed out, how many are hidden gold.",
    )
    probe_share = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(30)],
        help_text="Of 100 items handed out, how many are own old ones with sides swapped.",
    )
    shows_gold_agreement = models.BooleanField(
        default=False, help_text="Labelers see how often they agree with the gold answers."
    )
    judge_budget = models.DecimalField(
        null=True,
        blank=True,
        max_digits=12,
        decimal_places=2,
        validators=[MinValueValidator(0)],
        help_text="Dollars for all runs of judges together; left empty, none is set.",
    )
    is_demo = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = ProjectQuerySet.as_manager()

    # What the user who loaded it is and may do there (annotation.access.load_project).
    own_role: str | None = None
    own_state: str | None = None
    may: frozenset[str] = frozenset()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def protocol(self) -> Protocol:
        """The version in force: the newest."""
        found = NEWEST.first(project=self.pk)
        if found is None:
            raise Protocol.DoesNotExist(f"Project {self.pk} has no protocol.")
        return found


class Protocol(models.Model):
    """Frozen by its first judgment; a change afterwards is a new version."""

    class Scale(models.TextChoices):
        STRENGTH = "strength", "Seven steps, from much better to much better"
        PICK = "pick", "The better one, or a tie"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="protocols")
    version = models.PositiveIntegerField(default=1)
    guidelines = models.TextField(blank=True, help_text="Markdown; shown beside every item.")
    kinds = ArrayField(models.CharField(max_length=10, choices=Kind.choices))
    # [{"key": "helpful", "name": "Helpful", "definition": "…"}]
    criteria = models.JSONField(default=list)
    # ["clearer", "wrong fact", …]
    reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # For one response alone; empty: the same as for several.
    thumbs_reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    pairwise_scale = models.CharField(max_length=8, choices=Scale.choices, default=Scale.STRENGTH)
    # 0: a comment is optional.
    comment_min_length = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(1000)]
    )
    allows_rewrite = models.BooleanField(
        default=True, help_text="Who judges one response may write a better one."
    )
    frozen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["project", "version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="protocol_version_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.project} v{self.version}"

    @property
    def criterion_keys(self) -> list[str]:
        return [criterion["key"] for criterion in self.criteria]

    def reasons_for(self, kind: str) -> list[str]:
        return self.thumbs_reasons or self.reasons if kind == Kind.THUMBS else self.reasons


def _newest(project: Slot) -> models.QuerySet[Protocol]:
    return Protocol.objects.filter(project=project).order_by("-version")[:1]


NEWEST = Compiled(_newest, project=models.BigIntegerField())


class Membership(models.Model):
    class Role(models.TextChoices):
        LABELER = "labeler"
        REVIEWER = "reviewer"
        RESEARCHER = "researcher"
        MANAGER = "manager"

    class State(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        LEFT = "left"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    state_reason = models.CharField(max_length=200, blank=True)
    # A person decided so: pause rules look only at what came after.
    restored_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_unique"),
            models.CheckConstraint(
                name="membership_role_known",
                condition=Q(role__in=["labeler", "reviewer", "researcher", "manager"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {self.role}"


class PauseRule(models.Model):
    """Pauses a labeler by what gold and clocks say; only a person restores them."""

    class Signal(models.TextChoices):
        GOLD_ACCURACY = "gold_accuracy", "Agrees with gold less often than"
        SPEED = "speed", "Median seconds a judgment below"
        STRAIGHT_LINING = "straight_lining", "Same answer by side more often than"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pause_rules")
    signal = models.CharField(max_length=16, choices=Signal.choices)
    # A share between 0 and 1, or seconds.
    threshold = models.FloatField(validators=[MinValueValidator(0)])
    # How many of the newest judgments (gold ones, for accuracy) are looked at, and needed.
    window = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(5), MaxValueValidator(1000)]
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "signal"], name="pause_rule_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.get_signal_display()} {self.threshold:g}"
