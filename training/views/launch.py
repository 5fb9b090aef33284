"""The launch form, with an estimate of what the run will need beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.datastructures import MultiValueDict
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from core.errors import PrefloopError
from feedback.models import Snapshot
from training.alignment.methods import get_method, methods
from training.forms import LaunchChoice, LaunchForm, completed_choice, untouched_values
from training.forms.launch import METHOD_PREFIX
from training.forms.options import numbers_to_correct
from training.forms.rewards import SEVERAL
from training.models import Sweep
from training.services import queue_run, queue_sweep
from training.views.estimates import estimate_or_reason
from training.views.shared import render_page


@project_view(Capability.TRAIN)
@require_http_methods(["GET", "POST"])
@never_cache
def launch(request: SignedInRequest, project: Project) -> HttpResponse:
    # Without script a button asks for the fields of a choice; a GET would show the form's secret.
    is_sent = request.method == "POST" and "rebuild" not in request.POST
    data = request.POST if request.method == "POST" else request.GET
    chosen, usable = completed_choice(project, data)
    if not usable:
        context: dict[str, Any] = {"snapshot_id": chosen.get("snapshot")}
        return render_page(request, "training/launch_empty.html", project, context)
    form = _form(project, chosen, data=data if is_sent else None, kept=data)
    if is_sent and form.is_valid():
        made = _queue(request, project, form)
        if made is not None:
            page = "training:sweep" if isinstance(made, Sweep) else "training:run"
            return redirect(page, project.pk, made.pk)
    choice = LaunchChoice(initial=chosen, project=project, usable=usable)
    is_swap = bool(request.htmx)  # type: ignore[attr-defined]
    template = "training/_launch_form.html" if is_swap else "training/launch.html"
    context = {"form": form, "method": form.method, "choice": choice, "is_swap": is_swap}
    context |= _estimate(project, form)
    return render_page(request, template, project, context, status=422 if is_sent else 200)


@project_view(Capability.TRAIN)
@require_GET
@never_cache
def estimate(request: SignedInRequest, project: Project) -> HttpResponse:
    """What the form, as it stands, would need; asked anew at each change."""
    chosen, usable = completed_choice(project, request.GET)
    context: dict[str, Any] = {}
    if usable:
        form = _form(project, chosen, data=request.GET, kept=MultiValueDict())
        context = _estimate(project, form)
    return render_page(request, "training/_estimate.html", project, context)


def _form(
    project: Project, chosen: Mapping[str, str], *, data: Any, kept: MultiValueDict[str, Any]
) -> LaunchForm:
    method, adapter = get_method(chosen["method"]), chosen["adapter"]
    form = LaunchForm(
        data,
        initial=_typed(kept, method.name),
        project=project,
        snapshot=Snapshot.objects.get(pk=chosen["snapshot"]),
        method=method,
        adapter=adapter,
    )
    if _built_before(kept)[0] == method.name:
        form.keep_unticked(kept)
    return form


def _built_before(kept: Mapping[str, Any]) -> tuple[str, str]:
    """The method and the adapter that the form sent was for."""
    name, _, adapter = str(kept.get("built_for", "")).partition(":")
    return name, adapter


def _typed(kept: MultiValueDict[str, Any], method: str) -> dict[str, Any]:
    """What was typed before another snapshot, method or adapter was chosen.

    A value that is the default of what was chosen before was not typed, and another method or
    adapter needs another one. One method's beta says nothing of another's.
    """
    name, adapter = _built_before(kept)
    before = next((one for one in methods() if one.name == name), None)
    untouched = untouched_values(before, adapter)
    return {
        option: kept.getlist(option) if option in SEVERAL else value
        for option, value in kept.items()
        if value
        and option != "client_key"
        and untouched.get(option) != value
        and (name == method or not option.startswith(METHOD_PREFIX))
    }


def _estimate(project: Project, form: LaunchForm) -> dict[str, Any]:
    """Of the form as it stands; not while a number or the grid is wrong, which would count as not
    given."""
    form = form.filled()
    if words := numbers_to_correct(form):
        return {"no_estimate": words}
    given = form.cleaned_data
    return estimate_or_reason(
        project=project,
        snapshot=form.snapshot,
        method=form.method.name,
        criterion=given.get("criterion", ""),
        base_model=given.get("base_model", ""),
        config=form.run_config(),
        binary_from_pairs=given.get("binary_from_pairs", False),
        rewrites=given.get("rewrites", False),
        grid=form.grid,
    )


def _queue(request: SignedInRequest, project: Project, form: LaunchForm) -> Any:
    """The run, or the sweep where the form varies something; None when it was refused."""
    given = form.cleaned_data
    asked: dict[str, Any] = {
        "project": project,
        "snapshot": form.snapshot,
        "method": form.method.name,
        "criterion": given["criterion"],
        "base_model": given["base_model"],
        "name": given["name"],
        "config": form.run_config(),
        "created_by": request.user,
        "binary_from_pairs": given.get("binary_from_pairs", False),
        "rewrites": given.get("rewrites", False),
        "evaluated_by": given.get("evaluated_by", ""),
        "client_key": given["client_key"],
    }
    try:
        return queue_sweep(grid=form.grid, **asked) if form.grid else queue_run(**asked)
    except PrefloopError as error:
        form.refuse(error)
        return None
