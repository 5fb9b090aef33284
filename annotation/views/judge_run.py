"""Runs of a judge: estimated before they start, watched while they go, paused and stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.forms import show_error
from annotation.judge_forms import MEASURES, ResumeForm, RunForm
from annotation.models import Judge, JudgeRun, Project
from annotation.selectors import judge_pages
from annotation.selectors.judge import kinds_of, price_of, spec_of
from annotation.selectors.judge_left import choices_left, why_none
from annotation.services.judge_run import (
    cap_to_finish,
    estimate_run,
    pause_run,
    queue_run,
    resume_run,
    stop_run,
)
from core.access import SignedInRequest
from core.errors import PrefloopError
from core.health import is_swept
from core.models import Job

STOP_POLLING = 286  # htmx's word for "do not ask again"
ACTIONS = {
    "pause": (pause_run, "The run pauses when the calls that are out have come back."),
    "stop": (stop_run, "The run stops when the calls that are out have come back."),
}


def _judge(project: Project, judge_id: int, *origins: str) -> Judge:
    """One that can be asked: imported ones cannot, and drafts can only be tried."""
    asked = [Judge.Origin.CONFIGURED, *origins]
    judges = Judge.objects.filter(project=project, origin__in=asked)
    return get_object_or_404(judges.select_related("model__provider"), pk=judge_id)


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def start(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    judge = _judge(project, judge_id)
    takes = judge_pages.takes_of(project, judge) or _with_items(project, judge)
    form = RunForm(request.POST or None, initial=RunForm.first(takes) | request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            run = queue_run(
                project=project, judge=judge, created_by=request.user, **form.asked(),
                cap=form.cleaned_data["cap"],
            )  # fmt: skip
        except PrefloopError as error:
            show_error(form, error)
        else:
            return redirect("annotation:judge-run", project.pk, run.pk)
    context: dict[str, Any] = {"project": project, "judge": judge, "form": form}
    context |= {"title": f"Run {judge}"} | _told(project, judge, form)
    status = 422 if request.method == "POST" else 200
    return render(request, "annotation/judging/run_form.html", context, status=status)


def _with_items(project: Project, judge: Judge) -> str:
    """Where nobody has chosen: a choice of which items are left."""
    first = next(choices_left(project, judge), None)
    return first.takes if first else ""


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def estimate(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    """What the form, as it stands, would ask and cost; asked anew at each change."""
    judge = _judge(project, judge_id)
    context: dict[str, Any] = {"project": project, "judge": judge}
    context |= _told(project, judge, RunForm(request.GET))
    return render(request, "annotation/judging/_run_estimate.html", context)


def _told(project: Project, judge: Judge, form: RunForm) -> dict[str, Any]:
    asked = form.so_far()
    try:
        told = estimate_run(project=project, judge=judge, **asked)
    except PrefloopError as error:
        return {"no_estimate": error.message}
    if told.items:
        return {"told": told, "cap": told.suggested_cap}
    measures = asked["purpose"] in MEASURES
    others = [] if measures else list(choices_left(project, judge))
    return {"told": told, "why": why_none(project, judge, **asked), "others": others}


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def try_it(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    """Ten items, under a cap of what they can cost at most: told first, then started."""
    judge = _judge(project, judge_id, Judge.Origin.DRAFT)
    items = judge_pages.trial_items(project, judge, kinds_of(spec_of(judge)))
    if not items:
        raise PrefloopError(
            "There is no item left to try this judge on: import some, or make another version."
        )
    asked: dict[str, Any] = {"selection": {"items": items}, "purpose": JudgeRun.Purpose.TRIAL}
    told = estimate_run(project=project, judge=judge, **asked)
    cap = told.suggested_cap
    if request.method == "GET":
        context = {"project": project, "judge": judge, "told": told, "cap": cap}
        return render(request, "annotation/judging/try.html", context)
    run = queue_run(project=project, judge=judge, created_by=request.user, cap=cap, **asked)
    return redirect("annotation:judge-run", project.pk, run.pk)


def _run(project: Project, run_id: int) -> JudgeRun:
    return get_object_or_404(judge_pages.runs_of(project), pk=run_id)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run(request: SignedInRequest, project: Project, judge_run_id: int) -> HttpResponse:
    found = _run(project, judge_run_id)
    context = _live(project, found)
    if found.purpose == JudgeRun.Purpose.TRIAL:
        context["rows"] = judge_pages.trial_rows(found)
    return render(request, "annotation/judging/run.html", context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def run_state(request: SignedInRequest, project: Project, judge_run_id: int) -> HttpResponse:
    """Polled while the run is not over; then the page is loaded again, with what to do next."""
    found = _run(project, judge_run_id)
    response = render(request, "annotation/judging/_run_state.html", _live(project, found))
    if found.job is None or found.job.is_over:
        response["HX-Refresh"] = "true"
        response.status_code = STOP_POLLING
    return response


def _live(project: Project, found: JudgeRun) -> dict[str, Any]:
    waits = found.job is not None and found.job.state == Job.State.QUEUED
    return {
        "project": project,
        "run": found,
        "figures": judge_pages.figures_of(found),
        "items": _items(found),
        "booked": found.settled + found.reserved,
        "cap": f"{_cap(found).normalize():f}",
        "least": f"{found.least_cap.normalize():f}",
        "is_priced": price_of(found.judge) is not None,
        "no_worker": waits and not is_swept(),
    }


def _cap(run: JudgeRun) -> Decimal:
    """What it is resumed under, unless somebody chooses otherwise."""
    return cap_to_finish(run=run) if run.stopped_by_cap else run.cap


def _items(run: JudgeRun) -> int:
    """As its worker has counted them when it began; until then as estimated."""
    counted = run.job.progress.get("total") if run.job is not None else None
    return int(counted or run.estimate.get("items", 0))


@project_view(Capability.RESEARCH)
@require_POST
def move(
    request: SignedInRequest, project: Project, judge_run_id: int, action: str
) -> HttpResponse:
    service, said = ACTIONS[action]
    service(run=_run(project, judge_run_id), actor=request.user)
    messages.success(request, said)
    return redirect("annotation:judge-run", project.pk, judge_run_id)


@project_view(Capability.RESEARCH)
@require_POST
def resume(request: SignedInRequest, project: Project, judge_run_id: int) -> HttpResponse:
    """Under a larger cap, if one is given."""
    found, form = _run(project, judge_run_id), ResumeForm(request.POST)
    if not form.is_valid():
        raise PrefloopError("The cap is an amount in dollars, such as 2.50.", field="cap")
    cap = form.cleaned_data["cap"]
    resume_run(run=found, actor=request.user, cap=cap if cap != found.cap else None)
    messages.success(request, "The run goes on where it stopped. Nothing is asked twice.")
    return redirect("annotation:judge-run", project.pk, judge_run_id)
