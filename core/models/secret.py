"""Provider keys: encrypted, write-only, bound to the origin they may be sent to."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Secret(models.Model):
    name = models.CharField(max_length=100, unique=True)
    origin = models.CharField(max_length=255)
    ciphertext = models.BinaryField()
    last_four = models.CharField(max_length=4)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name} (…{self.last_four} for {self.origin})"
