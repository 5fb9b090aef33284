"""What has been judged and not yet been decided about, and when a project was last resolved."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from annotation.models import Project
from feedback.models.policy import Policy


class StaleItem(models.Model):
    """An item that got a judgment since it was last resolved.

    A trigger on assignments adds rows in the judgment's own transaction, so none can be missed;
    without a unique key, so that no submit ever waits for a resolver.
    """

    id = models.BigAutoField(primary_key=True)
    item_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"item {self.item_id}"


class Resolution(models.Model):
    """One row a project; whoever resolves holds it, so that two do not write the same rows."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="resolution")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)
    # When a judgment or the policy last changed what counts; agreement measured before is old.
    judged_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"resolution of {self.project}"
