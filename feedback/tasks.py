"""The jobs of feedback, and the sweep that finds projects with news."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation.models import Annotator, Project
from core import jobs
from core.jobs import JobContext, job_kind
from core.models import Job
from feedback.models import Export
from feedback.selectors.change import preview_change
from feedback.selectors.judges import projects_to_measure_judges, projects_with_old_cards
from feedback.selectors.resolution import projects_to_measure, projects_to_resolve
from feedback.services.export import build_export
from feedback.services.freeze_snapshot import freeze
from feedback.services.measure_agreement import measure_agreement
from feedback.services.measure_judges import measure_judges, request_judges
from feedback.services.measure_quality import measure_quality, request_quality
from feedback.services.policy import PolicyValues, current_policy
from feedback.services.resolve_items import resolve_items, resolve_stale
from feedback.services.weigh_annotator import with_weight

STOPPED = (Job.State.FAILED, Job.State.CANCELLED)
# News that a stopped job left behind is looked at again after this.
AGAIN = timedelta(minutes=10)


def _project(context: JobContext) -> Project:
    return Project.objects.get(pk=context.job.project_id or 0)


@job_kind("resolve_items")
def resolve(context: JobContext) -> dict[str, Any]:
    project = _project(context)
    everything = context.args.get("everything", False)
    counts = (resolve_items if everything else resolve_stale)(project=project)
    return {"changed": counts.changed, "states": dict(counts.states)}


@job_kind("measure_agreement")
def measure(context: JobContext) -> dict[str, Any]:
    project = _project(context)
    reports = measure_agreement(project=project, context=context)
    request_quality(project=project)
    request_judges(project=project)
    return {"reports": [report.pk for report in reports]}


@job_kind("measure_quality")
def measure_labelers(context: JobContext) -> dict[str, Any]:
    report = measure_quality(project=_project(context), context=context)
    return {"report": report.pk, "answers": report.answers}


@job_kind("measure_judges")
def measure_the_judges(context: JobContext) -> dict[str, Any]:
    reports = measure_judges(project=_project(context), context=context)
    return {"reports": [report.pk for report in reports]}


@job_kind("preview_weight")
def preview_weight(context: JobContext) -> dict[str, Any]:
    """Writes nothing but its result."""
    project = _project(context)
    annotator = Annotator.objects.get(pk=context.args["annotator"])
    policy = current_policy(project)
    values = with_weight(PolicyValues.of(policy), annotator, context.args["weight"])
    found = preview_change(project, policy, values.unsaved(project), context=context)
    return {**found, "policy_version": policy.version}


@job_kind("freeze_snapshot")
def freeze_in_background(context: JobContext) -> dict[str, Any]:
    frozen = freeze(
        project=_project(context),
        created_by=context.job.created_by,
        note=context.args.get("note", ""),
        context=context,
    )
    return {"snapshot": frozen.snapshot.pk, "is_new": frozen.is_new}


@job_kind("export")
def export(context: JobContext) -> dict[str, Any]:
    built = build_export(export=Export.objects.get(pk=context.args["export"]), context=context)
    return {"export": built.pk, "rows": built.rows}


@jobs.sweeper
def look_for_news() -> None:
    """The key names the news, so that two sweeps queue one job for it."""
    for project_id, newest in projects_to_resolve():
        _enqueue_once("resolve_items", project_id, f"resolve:{project_id}:{newest}")
    for project_id, judged_at in projects_to_measure():
        key = f"agreement:{project_id}:{judged_at.isoformat()}"
        _enqueue_once("measure_agreement", project_id, key)
    for project_id, finished_at in projects_to_measure_judges():
        key = f"judges:{project_id}:run of {finished_at.isoformat()}"
        _enqueue_once("measure_judges", project_id, key)
    for project_id, judged_at in projects_with_old_cards():
        key = f"judges:{project_id}:{judged_at.isoformat()}"
        _enqueue_once("measure_judges", project_id, key)


def _enqueue_once(kind: str, project_id: int, key: str) -> None:
    job = Job.objects.filter(idempotency_key=key).first()
    if job is None:
        jobs.enqueue(kind, project_id=project_id, idempotency_key=key)
    elif job.state in STOPPED and job.finished_at and job.finished_at < timezone.now() - AGAIN:
        jobs.resume(job=job)
