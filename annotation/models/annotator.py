"""Whoever judges, by a pseudonym: a person, a judge version, an imported worker, or end users."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.judge import Judge


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
