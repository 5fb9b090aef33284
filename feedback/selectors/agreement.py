"""The newest agreement figures of a project."""

from __future__ import annotations

from annotation.models import Project
from core.models import Job
from feedback.models import AgreementReport


def newest_reports(project: Project) -> list[AgreementReport]:
    """One for each kind and criterion, criteria in the protocol's order."""
    reports = (
        AgreementReport.objects.filter(project=project)
        .order_by("kind", "criterion", "-id")
        .distinct("kind", "criterion")
    )
    order = {key: place for place, key in enumerate(project.protocol.criterion_keys)}
    place = len(order)
    kinds = ["pairwise", "listwise", "thumbs"]
    return sorted(reports, key=lambda row: (order.get(row.criterion, place), kinds.index(row.kind)))


def unfinished_job(project: Project, kind: str) -> Job | None:
    """The job of this kind that is queued or running, if there is one."""
    jobs = Job.objects.filter(project_id=project.pk, kind=kind)
    return jobs.exclude(state__in=Job.ENDED).first()


def criterion_names(project: Project) -> dict[str, str]:
    """By key, over all versions of the protocol; the newest name wins."""
    versions = project.protocols.order_by("version").values_list("criteria", flat=True)
    return {each["key"]: each["name"] for criteria in versions for each in criteria}
