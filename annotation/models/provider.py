"""Endpoints that speak OpenAI's protocol, what they can do, and what they cost."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.models import Secret


class Provider(models.Model):
    """One credential at one origin: what limits calls and what breaks is counted here."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    base_url = models.URLField(max_length=300)
    # Null: the endpoint asks for no key.
    secret = models.ForeignKey(Secret, null=True, blank=True, on_delete=models.PROTECT)
    concurrency = models.PositiveSmallIntegerField(
        default=16, validators=[MinValueValidator(1), MaxValueValidator(1_000)]
    )
    # Null: without a limit.
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    # Asked no more; its judges and calls stay.
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProviderModel(models.Model):
    """A model that a provider serves, and what a probe found that it can do there."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=150)
    family = models.CharField(max_length=100, blank=True)
    # {"logprobs": true, "top_logprobs": 20, "n": true, "seed": true, "json_schema": true,
    #  "choices": false, …}, as annotation.llm.probe says; empty before the first probe.
    can = models.JSONField(default=dict, blank=True)
    probed_at = models.DateTimeField(null=True, blank=True)
    # What the endpoint said when it could not be probed.
    probe_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["provider", "name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="provider_model_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.provider}"


class Price(models.Model):
    """Dollars for a million tokens from a day on: a new price is a new row.

    A row of the same day may be corrected; what was booked keeps the price it was booked at.
    """

    model = models.ForeignKey(ProviderModel, on_delete=models.CASCADE, related_name="prices")
    valid_from = models.DateField()
    input_per_million = models.DecimalField(
        max_digits=12, decimal_places=6, validators=[MinValueValidator(0)]
    )
    output_per_million = models.DecimalField(
        max_digits=12, decimal_places=6, validators=[MinValueValidator(0)]
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["model", "valid_from"], name="price_unique"),
            models.CheckConstraint(
                name="price_not_negative",
                condition=Q(input_per_million__gte=0, output_per_million__gte=0),
            ),
        ]


class ProviderState(models.Model):
    """Buckets and breaker of a provider, shared by all workers; changed by conditional updates."""

    provider = models.OneToOneField(
        Provider, primary_key=True, on_delete=models.CASCADE, related_name="state"
    )
    requests_left = models.FloatField(default=0)
    tokens_left = models.FloatField(default=0)
    refilled_at = models.DateTimeField(null=True, blank=True)
    # Told by Retry-After: nobody asks before.
    not_before = models.DateTimeField(null=True, blank=True)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    # The breaker is open until then; the first call afterwards tries whether it may close.
    open_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
