"""The decided outcome of an item for a criterion. Rows are added; the newest wins."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from annotation.models import Item
from feedback.models.policy import Policy


class Adjudication(models.Model):
    """A reviewer's decision, kept beside the originals. Same value columns as an Answer."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="adjudications")
    criterion = models.CharField(max_length=40)
    adjudicator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    strength = models.SmallIntegerField(null=True)
    both_bad = models.BooleanField(default=False)
    ranks = ArrayField(models.PositiveSmallIntegerField(), null=True)
    thumb = models.PositiveSmallIntegerField(null=True)
    # True: the item is no use for training, whatever the votes.
    exclude = models.BooleanField(default=False)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["item", "criterion", "-id"], name="adjudication_newest")]


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
        ]

    def __str__(self) -> str:
        return f"{self.criterion} of item {self.item_id}: {self.state}"
