"""The loop of a project, and the numbers that other apps' pages show of it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest, admin_only
from core.models import Job
from training.selectors.loop import loops_at_a_glance, next_round, rounds, work_in_progress
from training.selectors.promotion import promoted_version, version_before
from training.views.shared import render_page


@admin_only
@require_GET
@never_cache
def home_loop(request: SignedInRequest) -> HttpResponse:
    """An admin's part of the home page."""
    jobs = Job.objects.all()
    context = {
        "loops": loops_at_a_glance(),
        "waiting": jobs.filter(state=Job.State.QUEUED).count(),
        "running": jobs.filter(state=Job.State.RUNNING).count(),
    }
    return render(request, "training/_home_loop.html", context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def loop(request: SignedInRequest, project: Project) -> HttpResponse:
    context = {
        "promoted": promoted_version(project),
        "before": version_before(project),
        "rounds": rounds(project),
        "next_round": next_round(project),
        "jobs": work_in_progress(project),
    }
    return render_page(request, "training/loop.html", project, context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def funnel(request: SignedInRequest, project: Project) -> HttpResponse:
    """The last steps of the project's funnel: runs, versions, the promoted one."""
    context = {
        "runs": project.training_runs.count(),
        "versions": project.model_versions.count(),
        "promoted": promoted_version(project),
    }
    return render_page(request, "training/_funnel.html", project, context)
