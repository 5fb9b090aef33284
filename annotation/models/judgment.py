"""Assignments (leases on items) and the judgments made under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.annotator import Annotator
from annotation.models.content import Response
from annotation.models.item import Item
from annotation.models.project import Protocol

if TYPE_CHECKING:
    from core.compiled import Slot
    from core.models import User


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def visible_to(self, user: User) -> AssignmentQuerySet:
        """One's own, in projects that one has not left."""
        return self.of_user(user.pk)

    def of_user(self, user: int | Slot) -> AssignmentQuerySet:
        return self.filter(annotator__user_id=user)


class Assignment(models.Model):
    class State(models.TextChoices):
        LEASED = "leased"
        DONE = "done"
        # Answered late, when the slot was gone: kept, not counted.
        SURPLUS = "surplus"
        EXPIRED = "expired"
        SKIPPED = "skipped"

    MAIN = "main"
    GOLD = "gold"
    REVIEW = "review"

    # Every index is paid for at each hand-out: these two lead the unique one and the history.
    item = models.ForeignKey(
        Item, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    annotator = models.ForeignKey(
        Annotator, on_delete=models.PROTECT, related_name="assignments", db_index=False
    )
    # main, gold, review, or "probe 1", "probe 2", …
    occasion = models.CharField(max_length=12, default=MAIN)
    # shown_order[i] is the canonical position of the response shown i-th.
    shown_order = ArrayField(models.PositiveSmallIntegerField())
    state = models.CharField(max_length=8, choices=State.choices, default=State.LEASED)
    # Only people's main judgments take slots.
    takes_slot = models.BooleanField()
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    current = models.ForeignKey(
        "Judgment", null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False
    )
    skip_reason = models.CharField(max_length=200, blank=True)
    # Null while it is only held ready, to be there at once after the one before.
    opened_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator", "occasion"], name="assignment_unique"
            ),
            # Not of the leases, which have none: a hand-out does not pay for it.
            models.UniqueConstraint(
                fields=["current"],
                name="assignment_current_unique",
                condition=Q(current__isnull=False),
            ),
            models.CheckConstraint(
                name="assignment_answered_has_judgment",
                condition=Q(state__in=["done", "surplus"], current__isnull=False)
                | Q(state__in=["leased", "expired", "skipped"], current__isnull=True),
            ),
            models.CheckConstraint(
                name="assignment_leased_has_lease",
                condition=Q(state="leased", lease_expires_at__isnull=False) | ~Q(state="leased"),
            ),
            models.CheckConstraint(
                name="assignment_slot_is_for_main",
                condition=Q(takes_slot=False) | Q(occasion="main"),
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"], name="assignment_lease", condition=Q(state="leased")
            ),
            models.Index(fields=["annotator", "-finished_at"], name="assignment_history"),
        ]

    def __str__(self) -> str:
        return f"{self.annotator} on item {self.item_id} ({self.state})"


class Judgment(models.Model):
    """Never updated or deleted (a trigger says so): a correction is a new revision."""

    class Origin(models.TextChoices):
        WEB = "web"
        API = "api"
        IMPORT = "import"
        JUDGE = "judge"
        APPLICATION = "application"

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="judgments")
    revision = models.PositiveSmallIntegerField(default=1)
    protocol = models.ForeignKey(Protocol, on_delete=models.PROTECT, related_name="judgments")
    client_key = models.CharField(max_length=200, unique=True)
    origin = models.CharField(max_length=12, choices=Origin.choices)
    reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    active_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "revision"], name="judgment_revision_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"judgment {self.pk} (revision {self.revision})"


class JudgmentComment(models.Model):
    """Free text stands apart, so that a person's words can be erased and the answer stay."""

    judgment = models.OneToOneField(Judgment, on_delete=models.PROTECT, related_name="comment")
    text = models.TextField()


class Rewrite(models.Model):
    """A better response, written by who judged this one: a demonstration, and a chosen side."""

    judgment = models.OneToOneField(Judgment, on_delete=models.PROTECT, related_name="rewrite")
    response = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="rewrites")


class Draft(models.Model):
    """What was chosen and written and not sent yet."""

    assignment = models.OneToOneField(
        Assignment, on_delete=models.CASCADE, primary_key=True, related_name="draft"
    )
    # [[field name, value], …] as the form would send them.
    values = models.JSONField()
    saved_at = models.DateTimeField(default=timezone.now)


class Flag(models.Model):
    """A labeler's word to the manager about an item; somebody answers for closing it."""

    class Kind(models.TextChoices):
        PROBLEM = "problem", "Something is wrong with it"
        IDENTITY = "identity", "It tells who wrote it"

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="flags")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assignment", "kind"], name="flag_unique"),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], name="flag_open", condition=Q(settled_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} flag on {self.assignment}"


class Answer(models.Model):
    """The value for one criterion, in canonical order, never by the side it was shown on."""

    judgment = models.ForeignKey(Judgment, on_delete=models.PROTECT, related_name="answers")
    criterion = models.CharField(max_length=40)
    # Pairwise: -3…3, positive = position 0 is better, 0 = tie.
    strength = models.SmallIntegerField(null=True)
    both_bad = models.BooleanField(default=False)
    # Listwise: a rank for each canonical position, 1 = best, equal = tie.
    ranks = ArrayField(models.PositiveSmallIntegerField(), null=True)
    # Responses of this rank and better are acceptable; 0 = none is.
    acceptable_to = models.PositiveSmallIntegerField(null=True)
    # Thumbs: 1 up, 0 down.
    thumb = models.PositiveSmallIntegerField(null=True)
    probabilities = ArrayField(models.FloatField(), null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["judgment", "criterion"], name="answer_criterion_unique"
            ),
            models.CheckConstraint(
                name="answer_has_one_value",
                condition=(
                    Q(strength__isnull=False, ranks__isnull=True, thumb__isnull=True)
                    | Q(strength__isnull=True, ranks__isnull=False, thumb__isnull=True)
                    | Q(strength__isnull=True, ranks__isnull=True, thumb__isnull=False)
                ),
            ),
            models.CheckConstraint(
                name="answer_strength_in_range",
                condition=Q(strength__isnull=True) | Q(strength__gte=-3, strength__lte=3),
            ),
            models.CheckConstraint(
                name="answer_thumb_in_range", condition=Q(thumb__isnull=True) | Q(thumb__in=[0, 1])
            ),
            models.CheckConstraint(
                name="answer_both_bad_is_a_tie", condition=Q(both_bad=False) | Q(strength=0)
            ),
        ]
