"""What is decided and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, QuerySet

from annotation.models import Item, Project
from feedback.models import Preference, StaleItem

if TYPE_CHECKING:
    from feedback.models.preference import PreferenceQuerySet

State = Preference.State


def preferences_of(project: Project) -> PreferenceQuerySet:
    return Preference.objects.newest().filter(item__project=project)


def stale_of(project: Project) -> QuerySet[StaleItem]:
    """Marks of items that were judged since they were last decided about."""
    return StaleItem.objects.filter(item_id__in=Item.objects.filter(project=project).values("pk"))


def count_by_state(project: Project) -> dict[str, int]:
    """How many preferences stand in each state; every state is named."""
    rows = preferences_of(project).values_list("state").annotate(Count("pk"))
    return {**dict.fromkeys(State.values, 0), **dict(rows)}
