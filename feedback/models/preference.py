"""The decided outcome of an item for a criterion. Rows are added; the newest wins."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from annotation.models import Item, Judgment
from feedback.models.policy import Policy


class Adjudication(models.Model):
    """A reviewer's word, kept beside the originals. Rows are added; a later one supersedes.

    The columns of the value are an Answer's; a trigger refuses to change them.
    """

    class Verdict(models.TextChoices):
        DECIDED = "decided"
        # Of no use for training, whatever the votes.
        EXCLUDED = "excluded"
        # More people are asked; until they have answered, the votes stand as they are.
        SENT_BACK = "sent back"
        # The reviewer took their last word back: the votes speak again.
        WITHDRAWN = "withdrawn"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="adjudications")
    criterion = models.CharField(max_length=40)
    adjudicator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    verdict = models.CharField(max_length=10, choices=Verdict.choices, default=Verdict.DECIDED)
    # What the reviewer answered before they saw the others' answers.
    blind = models.ForeignKey(Judgment, null=True, on_delete=models.PROTECT, related_name="+")
    strength = models.SmallIntegerField(null=True)
    both_bad = models.BooleanField(default=False)
    ranks = ArrayField(models.PositiveSmallIntegerField(), null=True)
    acceptable_to = models.PositiveSmallIntegerField(null=True)
    thumb = models.PositiveSmallIntegerField(null=True)
    note = models.TextField(blank=True)
    # The judgments that lay before the reviewer, and whether names stood beside them.
    seen_judgments = ArrayField(models.BigIntegerField(), default=list)
    named = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["item", "criterion", "-id"], name="adjudication_newest")]

    def __str__(self) -> str:
        return f"{self.criterion} of item {self.item_id}: {self.verdict}"


class PreferenceQuerySet(models.QuerySet["Preference"]):
    def newest(self) -> PreferenceQuerySet:
        """Of each item and criterion the last row."""
        return self.filter(is_newest=True)


class Preference(models.Model):
    class State(models.TextChoices):
        WAITING = "waiting"
        ACCEPTED = "accepted"
        TIED = "tied"
        CONTESTED = "contested"
        ADJUDICATED = "adjudicated"
        EXCLUDED = "excluded"

    class Cause(models.TextChoices):
        """Why it waits for a reviewer."""

        EVEN = "even", "A dead heat"
        SPLIT = "split", "Too little agreement"
        JUDGES = "judges", "Judges against people"

    # States whose outcome enters snapshots.
    DECIDED = (State.ACCEPTED, State.TIED, State.ADJUDICATED)

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="preferences")
    criterion = models.CharField(max_length=40)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="preferences")
    adjudication = models.ForeignKey(
        Adjudication, null=True, on_delete=models.PROTECT, related_name="preferences"
    )
    state = models.CharField(max_length=12, choices=State.choices)
    # Pairwise: {"strength": 1.7, "both_bad": false}; listwise: {"ranks": [1, 2, 2],
    # "acceptable_to": 2}; thumbs: {"thumb": 1}. Empty while waiting.
    outcome = models.JSONField(default=dict)
    # Pairwise and thumbs: [P(position 0 preferred or up)]; listwise: the P(i before j) of each
    # pair of positions (0,1), (0,2), …, (1,2), …
    probabilities = ArrayField(models.FloatField(), default=list)
    # Share of votes for the outcome.
    agreement = models.FloatField(null=True)
    # Empty: nothing waits. How far the votes lie apart: 0 all alike, 1 half against half.
    cause = models.CharField(max_length=6, choices=Cause.choices, blank=True, db_default="")
    disagreement = models.FloatField(null=True)
    support_people = models.PositiveIntegerField(default=0)
    support_judges = models.PositiveIntegerField(default=0)
    # The judgments counted, so that one can walk back from a training batch to them.
    judgment_ids = ArrayField(models.BigIntegerField(), default=list)
    # Only resolve_items moves this mark; the row's facts never change.
    is_newest = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = PreferenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "criterion"],
                name="preference_newest_unique",
                condition=models.Q(is_newest=True),
            ),
        ]
        indexes = [
            models.Index(
                fields=["state"], name="preference_state", condition=models.Q(is_newest=True)
            ),
            models.Index(
                fields=["item"],
                name="preference_for_review",
                condition=models.Q(is_newest=True) & ~models.Q(cause=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.criterion} of item {self.item_id}: {self.state}"
