"""Runs: watch one, stop it, resume it, read what it changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest, admin_only
from core.csv_reply import csv_reply
from core.errors import PrefloopError
from core.health import is_swept
from core.models import Job
from training.alignment.methods import get_method
from training.forms import ResumeForm
from training.forms.again import launch_query, left_out
from training.models import TrainingRun
from training.selectors.evaluation import evaluated
from training.selectors.plot import plots_of
from training.selectors.queue import ahead_of
from training.selectors.run import (
    curves,
    cut_in_words,
    left_behind,
    rewards_parted,
    run_settings,
    step_samples,
)
from training.services import cancel_run, resume_run
from training.services.child import log_tail
from training.services.supervise import run_folder
from training.views.estimates import held_against
from training.views.plots import draw, draw_evaluation
from training.views.shared import render_page

SHOWN = 10
STOPPED: dict[str, str] = {
    Job.State.RUNNING: "The run is asked to stop. It saves its state first.",
    Job.State.CANCELLED: "The run is stopped.",
}
RESUMED = {
    "result": "The run goes on. It is trained already; its version is still to be kept.",
    "checkpoint": "The run goes on from its last checkpoint.",
    "": "The run is queued again. It left no checkpoint, so it begins anew.",
}
STOP_POLLING = 286  # htmx's word for "do not ask again"


def _runs() -> QuerySet[TrainingRun]:
    return TrainingRun.objects.select_related(
        "project", "snapshot", "job", "model_version", "sweep"
    )


def _run(project: Project, run_id: int) -> TrainingRun:
    return get_object_or_404(_runs().filter(project=project), pk=run_id)


def _page(request: SignedInRequest, rows: QuerySet[TrainingRun]) -> Any:
    return Paginator(rows, 50).get_page(request.GET.get("page"))


@admin_only
@require_GET
def runs(request: SignedInRequest) -> HttpResponse:
    """All runs of the instance."""
    return render(request, "training/runs.html", {"page": _page(request, _runs())})


@project_view(Capability.RESEARCH)
@require_GET
def project_runs(request: SignedInRequest, project: Project) -> HttpResponse:
    page = _page(request, _runs().filter(project=project))
    context = {
        "page": page,
        "recipes": project.recipes.all()[:SHOWN],
        "sweeps": project.sweeps.all()[:SHOWN],
    }
    return render_page(request, "training/project_runs.html", project, context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    found = _run(project, run_id)
    context: dict[str, Any] = {
        **_state(found),
        "method": get_method(found.method),
        "settings": run_settings(found),
        "again": launch_query(found),
        "left_out": left_out(found),
        "needs": held_against(found),
        "cut": cut_in_words(run_folder(found) / "output"),
    }
    version = getattr(found, "model_version", None)
    if version is not None:
        figures = version.evaluations.latest("pk").figures
        context |= {
            "version": version,
            "evaluated": evaluated(figures),
            "evaluation_plots": draw_evaluation(figures),
            "samples": found.samples.all(),
        }
    context |= {"through": step_samples(found)}
    context |= {"plots": _plots(found), "log": log_tail(run_folder(found))}
    return render_page(request, "training/run.html", project, context)


def _state(found: TrainingRun) -> dict[str, Any]:
    """Of `_run_state.html`."""
    no_worker = found.job.state == Job.State.QUEUED and not is_swept()
    return {
        "run": found,
        "no_worker": no_worker,
        "ahead": ahead_of(found.job),
        "parted": rewards_parted(found),
    }


def _plots(found: TrainingRun) -> list[Any]:
    """Before the first numbers a run that trains has empty ones, which hold their room."""
    points = curves(found)
    if not points and found.job.state != Job.State.RUNNING:
        return []
    plots = plots_of([found])
    # Reward models have no log-probabilities, demonstrations no margin.
    drawn = [plot for plot in plots if points.keys() & plot.names.keys()]
    return [(plot, draw(plot, points)) for plot in drawn or plots]


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run_state(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    """Polled while the run is not over; then the page is loaded again, with its evaluation."""
    found = _run(project, run_id)
    response = render_page(request, "training/_run_state.html", project, _state(found))
    if found.job.is_over:
        response["HX-Refresh"] = "true"
        response.status_code = STOP_POLLING
    return response


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run_live(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    found = _run(project, run_id)
    context = {"run": found, "plots": _plots(found)}
    status = STOP_POLLING if found.job.is_over else 200
    return render_page(request, "training/_run_live.html", project, context, status=status)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run_log(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    found = _run(project, run_id)
    context = {"log": log_tail(run_folder(found))}
    status = STOP_POLLING if found.job.is_over else 200
    return render_page(request, "training/_run_log.html", project, context, status=status)


@project_view(Capability.RESEARCH)
@require_GET
def run_metrics(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    """The numbers behind the plots."""
    found = _run(project, run_id)
    rows = ((step, name, value) for name, points in curves(found).items() for step, value in points)
    return csv_reply(f"run-{found.pk}-metrics.csv", ["step", "metric", "value"], rows)


@project_view(Capability.TRAIN)
@require_POST
def run_cancel(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    job = cancel_run(run=_run(project, run_id), actor=request.user)
    messages.success(request, STOPPED.get(job.state, "The run was over already."))
    return redirect("training:run", project.pk, run_id)


@project_view(Capability.TRAIN)
@require_POST
def run_resume(request: SignedInRequest, project: Project, run_id: int) -> HttpResponse:
    """Under a larger KL budget, if one is given."""
    found, form = _run(project, run_id), ResumeForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.problem)
        return redirect("training:run", project.pk, run_id)
    budget = form.cleaned_data["kl_budget"]
    try:
        resume_run(run=found, actor=request.user, kl_budget=budget)
    except PrefloopError as error:
        under = "" if budget is None else f" under a KL budget of {budget:g}"
        messages.error(request, f"The run was not resumed{under}. {error.message}")
    else:
        messages.success(request, RESUMED[left_behind(run_folder(found) / "output")])
    return redirect("training:run", project.pk, run_id)
