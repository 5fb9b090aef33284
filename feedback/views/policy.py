"""The acceptance rule: shown, tried, saved as a new version."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.forms import BaseFormSet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core import jobs
from core.access import SignedInRequest
from core.errors import PrefloopError
from feedback.forms import PolicyForm, WeightForm, WeightFormSet
from feedback.models import Policy
from feedback.selectors.agreement import unfinished_job
from feedback.selectors.policy import Weighed, preview_policy, weighed_annotators
from feedback.services.policy import PolicyValues, current_policy, revise_policy

WEIGHED_SHOWN = 200


def _initial(current: Policy) -> dict[str, Any]:
    values = vars(PolicyValues.of(current))
    return {
        **{name: values[name] for name in PolicyForm.Meta.fields},
        "from_version": current.version,
    }


def _weight_forms(request: SignedInRequest, people: list[Weighed]) -> BaseFormSet[WeightForm]:
    initial = [{"annotator": one.annotator.pk, "weight": one.weight} for one in people]
    return WeightFormSet(request.POST or None, prefix="weights", initial=initial)


def _weights(current: Policy, forms: BaseFormSet[WeightForm]) -> dict[str, float]:
    """Annotators who are not on the page keep what they had; 1 is not worth a word."""
    weights = dict(current.weights)
    for form in forms:
        weights[str(form.cleaned_data["annotator"])] = form.cleaned_data["weight"]
    return {key: weight for key, weight in weights.items() if weight != 1}


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
def policy(request: SignedInRequest, project: Project) -> HttpResponse:
    """“Try” shows what would change; “save” saves it."""
    current = current_policy(project)
    people = weighed_annotators(project, current)[:WEIGHED_SHOWN]
    form = PolicyForm(request.POST or None, initial=_initial(current))
    weights = _weight_forms(request, people)
    context: dict[str, Any] = {
        "project": project,
        "current": current,
        "form": form,
        "weights": weights,
        "people": list(zip(people, weights, strict=False)),
        "versions": project.policies.select_related("created_by").order_by("-version")[:20],
        "job": unfinished_job(project, "resolve_items"),
    }
    if request.method == "POST":
        if not (form.is_valid() and weights.is_valid()):
            return render(request, "feedback/policy.html", context, status=422)
        values = form.values(_weights(current, weights))
        if request.POST.get("do") == "save":
            return _save(request, project, values, form.cleaned_data["from_version"])
        context["preview"] = preview_policy(project, values.unsaved(project))
    return render(request, "feedback/policy.html", context)


def _save(
    request: SignedInRequest, project: Project, values: PolicyValues, from_version: int
) -> HttpResponse:
    saved = revise_policy(
        project=project, actor=request.user, values=values, from_version=from_version
    )
    if saved.version == from_version:
        messages.info(request, "Nothing was changed.")
    else:
        _enqueue_resolving(request, project)
        messages.success(
            request, f"Saved as version {saved.version}. Decisions follow in a moment."
        )
    return redirect("feedback:policy", project.pk)


def _enqueue_resolving(request: SignedInRequest, project: Project) -> None:
    jobs.enqueue(
        "resolve_items",
        args={"everything": True},
        created_by=request.user,
        project_id=project.pk,
    )


@project_view(Capability.RESEARCH)
@require_POST
def resolve(request: SignedInRequest, project: Project) -> HttpResponse:
    """Nobody needs to press this: the sweep resolves by itself. It resolves everything anew."""
    if unfinished_job(project, "resolve_items") is not None:
        raise PrefloopError("The project is being resolved at this moment. Wait for it to end.")
    _enqueue_resolving(request, project)
    return redirect("feedback:policy", project.pk)
