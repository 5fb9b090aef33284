"""What waits for a decision, over all projects of a person."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from annotation.access import Capability
from annotation.models import Project
from annotation.selectors.project import projects_where
from core.models import User
from feedback.models import AgreementReport, Preference
from feedback.verdicts import people_verdict

SHOWN = 8


@dataclass(frozen=True)
class Waiting:
    """A project with contested items, or with agreement to tell of."""

    project: Project
    contested: int
    verdict: str


def waiting_for(user: User) -> list[Waiting]:
    """Most contested items first. Agreement is told to those who may see it."""
    counts = dict(
        Preference.objects.newest()
        .filter(
            state=Preference.State.CONTESTED,
            item__project__in=projects_where(user, Capability.ADJUDICATE),
        )
        .values_list("item__project")
        .annotate(n=Count("pk"))
        .order_by("-n")[:SHOWN]
    )
    projects = Project.objects.in_bulk(list(counts))
    verdicts = _verdicts(list(counts), user)
    return [Waiting(projects[key], n, verdicts.get(key, "")) for key, n in counts.items()]


def _verdicts(projects: list[int], user: User) -> dict[int, str]:
    """Of each project's first kind and criterion."""
    reports = (
        AgreementReport.objects.filter(
            project__in=projects_where(user, Capability.RESEARCH).filter(pk__in=projects)
        )
        .order_by("project_id", "kind", "criterion", "-id")
        .distinct("project_id")
    )
    return {report.project_id: people_verdict(report.figures) for report in reports}
