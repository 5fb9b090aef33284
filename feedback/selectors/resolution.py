"""Which projects have news: judgments nobody decided about, or agreement that is out of date."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Max, Q
from django.db.models.functions import Least
from django.utils import timezone

from feedback.models import Resolution

# While people judge, agreement is measured again at most this often.
MEASURE_EVERY = timedelta(seconds=30)


def projects_to_resolve() -> list[tuple[int, int]]:
    """Each project with stale items, and the newest mark among them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.project_id, max(s.id) FROM feedback_staleitem s "
            "JOIN annotation_item i ON i.id = s.item_id GROUP BY i.project_id"
        )
        return [(project, newest) for project, newest in cursor.fetchall()]


def projects_to_measure() -> list[tuple[int, datetime]]:
    """Resolved projects that were judged since they were last measured."""
    measured = Resolution.objects.filter(resolved_at__isnull=False).annotate(
        measured_at=Max("project__agreement_reports__created_at")
    )
    recently = timezone.now() - MEASURE_EVERY
    is_behind = Q(measured_at__lt=Least(F("judged_at"), recently))
    rows = measured.filter(Q(measured_at__isnull=True) | is_behind)
    return list(rows.values_list("project_id", "judged_at"))
