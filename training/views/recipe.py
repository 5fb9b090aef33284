"""Recipes: start RLHF in three stages, follow its steps, stop and resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from core.errors import PrefloopError
from training.alignment.methods import get_method
from training.forms.choice import snapshots_of
from training.forms.options import numbers_to_correct
from training.forms.recipe import RecipeForm, recipe_choice
from training.models import Recipe
from training.services import resume_recipe, start_recipe, stop_recipe
from training.services.recipe import rlhf_stages
from training.views.estimates import recipe_estimate_or_reason
from training.views.run import STOP_POLLING
from training.views.shared import render_page


@project_view(Capability.TRAIN)
@require_http_methods(["GET", "POST"])
@never_cache
def new_recipe(request: SignedInRequest, project: Project) -> HttpResponse:
    if not snapshots_of(project).exists():
        return render_page(request, "training/launch_empty.html", project, {"snapshot_id": None})
    # Without script a button asks for the fields of a choice; a GET would show the form's secret.
    is_sent = request.method == "POST" and "rebuild" not in request.POST
    data = request.POST if request.method == "POST" else request.GET
    form = _form(project, data if is_sent else None, kept=data)
    if is_sent and form.is_valid():
        recipe = _start(request, project, form)
        if recipe is not None:
            return redirect("training:recipe", project.pk, recipe.pk)
    is_swap = bool(request.htmx)  # type: ignore[attr-defined]
    template = "training/_recipe_form.html" if is_swap else "training/new_recipe.html"
    context = {"form": form, "is_swap": is_swap, **_estimate(project, form)}
    return render_page(request, template, project, context, status=422 if is_sent else 200)


@project_view(Capability.TRAIN)
@require_GET
@never_cache
def recipe_estimate(request: SignedInRequest, project: Project) -> HttpResponse:
    """What the form, as it stands, would need; asked anew at each change."""
    context = _estimate(project, _form(project, request.GET, kept={}))
    return render_page(request, "training/_estimate.html", project, context)


def _form(project: Project, data: Any, *, kept: Mapping[str, Any]) -> RecipeForm:
    """`data` is what was sent, `kept` what was typed before the form is built again."""
    choice = recipe_choice(kept if data is None else data)
    form = RecipeForm(data, project=project, choice=choice)
    form.keep(kept)
    return form


def _estimate(project: Project, form: RecipeForm) -> dict[str, Any]:
    """Of the form as it stands; not while a number is wrong, which would count as not given."""
    form = form.filled()
    given = form.cleaned_data
    if "snapshot" not in given:
        return {}
    if words := numbers_to_correct(form):
        return {"no_estimate": words}
    return recipe_estimate_or_reason(
        project=project,
        snapshot=given["snapshot"],
        criterion=given.get("criterion", ""),
        base_model=given.get("base_model", ""),
        stages=rlhf_stages(policy_method=form.choice["policy_method"], **form.stage_configs()),
    )


def _start(request: SignedInRequest, project: Project, form: RecipeForm) -> Recipe | None:
    given = form.cleaned_data
    try:
        return start_recipe(
            project=project,
            snapshot=given["snapshot"],
            criterion=given["criterion"],
            base_model=given["base_model"],
            stages=rlhf_stages(policy_method=given["policy_method"], **form.stage_configs()),
            created_by=request.user,
            name=given["name"],
            client_key=given["client_key"],
        )
    except PrefloopError as error:
        form.refuse(error)
        return None


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def recipe(request: SignedInRequest, project: Project, recipe_id: int) -> HttpResponse:
    context = _context(get_object_or_404(Recipe, project=project, pk=recipe_id))
    return render_page(request, "training/recipe.html", project, context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def recipe_live(request: SignedInRequest, project: Project, recipe_id: int) -> HttpResponse:
    context = _context(get_object_or_404(Recipe, project=project, pk=recipe_id))
    response = render_page(request, "training/_recipe_live.html", project, context)
    if not context["is_running"]:
        response["HX-Refresh"] = "true"
        response.status_code = STOP_POLLING
    return response


@project_view(Capability.TRAIN)
@require_POST
def recipe_stop(request: SignedInRequest, project: Project, recipe_id: int) -> HttpResponse:
    found = get_object_or_404(Recipe, project=project, pk=recipe_id)
    stop_recipe(recipe=found, actor=request.user)
    messages.success(request, "The run in progress is asked to stop; no further step begins.")
    return redirect("training:recipe", project.pk, recipe_id)


@project_view(Capability.TRAIN)
@require_POST
def recipe_resume(request: SignedInRequest, project: Project, recipe_id: int) -> HttpResponse:
    found = get_object_or_404(Recipe, project=project, pk=recipe_id)
    resume_recipe(recipe=found, actor=request.user)
    messages.success(request, "The recipe goes on.")
    return redirect("training:recipe", project.pk, recipe_id)


def _context(found: Recipe) -> dict[str, Any]:
    steps = list(found.steps.select_related("run__job", "run__model_version"))
    states = [step.run.job.state if step.run else "waiting" for step in steps]
    ended = any(state in {"failed", "cancelled"} for state in states)
    busy = any(state in {"queued", "running"} for state in states)
    done = all(state == "succeeded" for state in states)
    return {
        "recipe": found,
        "steps": [(step, get_method(step.method)) for step in steps],
        "is_done": done,
        # A step that is asked to stop runs on until its state is saved.
        "can_resume": not done and not busy and (ended or found.stopped_at is not None),
        "is_running": busy or (not done and not ended and found.stopped_at is None),
    }
