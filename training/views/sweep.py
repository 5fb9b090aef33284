"""Sweeps: their runs in a table, best first; stop all, resume what was stopped."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from training.forms.options import label_of
from training.models import Sweep
from training.selectors.comparison import MOST
from training.selectors.sweep import sweep_table
from training.services import resume_sweep, stop_sweep
from training.views.run import STOP_POLLING
from training.views.shared import render_page


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def sweep(request: SignedInRequest, project: Project, sweep_id: int) -> HttpResponse:
    context = _context(request, get_object_or_404(Sweep, project=project, pk=sweep_id))
    return render_page(request, "training/sweep.html", project, context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def sweep_live(request: SignedInRequest, project: Project, sweep_id: int) -> HttpResponse:
    """Polled while a run of it is not over; then the page is loaded again, with its best."""
    context = _context(request, get_object_or_404(Sweep, project=project, pk=sweep_id))
    response = render_page(request, "training/_sweep_live.html", project, context)
    if not context["is_running"]:
        response["HX-Refresh"] = "true"
        response.status_code = STOP_POLLING
    return response


@project_view(Capability.TRAIN)
@require_POST
def sweep_stop(request: SignedInRequest, project: Project, sweep_id: int) -> HttpResponse:
    found = get_object_or_404(Sweep, project=project, pk=sweep_id)
    count = stop_sweep(sweep=found, actor=request.user)
    messages.success(request, f"{count} run{'' if count == 1 else 's'} asked to stop.")
    return redirect("training:sweep", project.pk, sweep_id)


@project_view(Capability.TRAIN)
@require_POST
def sweep_resume(request: SignedInRequest, project: Project, sweep_id: int) -> HttpResponse:
    found = get_object_or_404(Sweep, project=project, pk=sweep_id)
    count = len(resume_sweep(sweep=found, actor=request.user))
    messages.success(request, f"{count} run{' is' if count == 1 else 's are'} queued again.")
    return redirect("training:sweep", project.pk, sweep_id)


def _context(request: SignedInRequest, found: Sweep) -> dict[str, Any]:
    table = sweep_table(found, request.GET.get("by", ""))
    over = sum(row.run.job.is_over for row in table.rows)
    return {
        "sweep": found,
        "table": table,
        "columns": [label_of(name) for name in table.names],
        "over": over,
        "is_running": over < len(table.rows),
        "compared": [row.run.pk for row in table.rows[:MOST]],
    }
