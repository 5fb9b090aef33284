"""Items: one prompt with its response or responses, as put before a judge."""

from __future__ import annotations

import random

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotation.models.content import Prompt, Response
from annotation.models.kinds import Kind
from annotation.models.project import Project


def random_key() -> int:
    return random.randrange(1_000_000)


class Item(models.Model):
    """A trigger on assignments keeps `open_slots`; the checks make over-assignment impossible."""

    class Origin(models.TextChoices):
        CREATED = "created"
        # Equal texts are never shown: the tie is stored, and kept out of agreement and training.
        IDENTICAL = "identical"

    # The indexes below begin with it.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="items")
    responses = models.ManyToManyField(Response, through="ItemResponse", related_name="items")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.CREATED)
    overlap = models.PositiveSmallIntegerField()
    open_slots = models.PositiveSmallIntegerField()
    # Larger is sooner.
    priority = models.IntegerField(default=0)
    rnd = models.IntegerField(default=random_key)
    started = models.BooleanField(default=False)
    skips = models.PositiveSmallIntegerField(default=0)
    # Hidden in the stream to measure people: handed out beside the queue, and takes no slot.
    is_gold = models.BooleanField(default=False, db_default=False)
    # Closed: enough is known. Held: skipped or flagged too often, waits for the manager.
    closed_at = models.DateTimeField(null=True, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    is_open = models.GeneratedField(
        # The stubs do not know that a Q is an expression.
        expression=Q(open_slots__gt=0)  # type: ignore[arg-type]
        & Q(closed_at__isnull=True)
        & Q(held_at__isnull=True)
        & Q(is_gold=False),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    batch = models.CharField(max_length=100, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    content_key = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "content_key"], name="item_unique"),
            models.CheckConstraint(
                name="item_never_over_assigned",
                condition=Q(open_slots__gte=0) & Q(open_slots__lte=F("overlap")),
            ),
        ]
        indexes = [
            models.Index(
                F("project"),
                F("priority").desc(),
                F("rnd"),
                name="item_fresh",
                condition=Q(is_open=True, started=False),
            ),
            models.Index(
                fields=["project", "rnd"],
                name="item_started",
                condition=Q(is_open=True, started=True),
            ),
            models.Index(fields=["project", "rnd"], name="item_gold", condition=Q(is_gold=True)),
            # Few among very many, and every look at the queue asks for them.
            models.Index(
                fields=["project", "held_at"],
                name="item_held",
                condition=Q(held_at__isnull=False, closed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} item {self.pk}"


class ItemResponse(models.Model):
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="item_responses")
    response = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="item_responses")
    # Canonical order, by the response's random uuid.
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["item", "position"]
        constraints = [
            models.UniqueConstraint(fields=["item", "position"], name="item_position_unique"),
            models.UniqueConstraint(fields=["item", "response"], name="item_response_unique"),
        ]


class GoldAnswer(models.Model):
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="gold_answers")
    criterion = models.CharField(max_length=40)
    # Same shape as Answer: {"strength": 2}, {"ranks": [1, 2, 2]} or {"thumb": 1}.
    expected = models.JSONField()
    source = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "criterion"], name="gold_answer_unique"),
        ]
