"""Model versions: where they come from, how good they are, which one is in use."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest, admin_only
from core.errors import PrefloopError
from training.alignment.methods import get_method
from training.forms import ConfirmForm, SampleForm
from training.forms.key import offer_again
from training.models import ModelVersion, Promotion
from training.selectors.evaluation import evaluated
from training.selectors.lineage import lineage_of
from training.selectors.model import base_models, scores_answers
from training.selectors.promotion import promoted_version, version_before
from training.services import promote_version, request_samples, roll_back
from training.services.client_key import KeyUsed
from training.views.plots import draw_evaluation
from training.views.shared import render_page


def _version(project: Project, number: int) -> ModelVersion:
    versions = project.model_versions.select_related("run__snapshot", "run__job", "project")
    return get_object_or_404(versions, number=number)


@admin_only
@require_GET
def models(request: SignedInRequest) -> HttpResponse:
    """What the instance has to train from, and all that it has trained."""
    versions = ModelVersion.objects.select_related("project", "run").order_by("-pk")
    return render(
        request, "training/models.html", {"base_models": base_models(), "versions": versions[:200]}
    )


@project_view(Capability.RESEARCH)
@require_GET
def versions(request: SignedInRequest, project: Project) -> HttpResponse:
    rows = project.model_versions.select_related("run").prefetch_related("evaluations")
    context = {
        "promoted": promoted_version(project),
        "versions": [(row, _newest_figures(row)) for row in rows],
        "history": project.promotions.select_related("version", "previous", "by"),
    }
    return render_page(request, "training/versions.html", project, context)


def _newest_figures(version: ModelVersion) -> dict[str, Any]:
    newest = next(iter(version.evaluations.all()), None)
    return newest.figures if newest else {}


def _render_version(
    request: SignedInRequest, project: Project, version: ModelVersion, **forms: Any
) -> HttpResponse:
    promoted = promoted_version(project)
    figures = _newest_figures(version)
    confirm: dict[str, Any] = {"project": project, "replacing": promoted}
    context = {
        "version": version,
        "promoted": promoted,
        "before": version_before(project),
        "evaluated": evaluated(figures),
        "evaluation_plots": draw_evaluation(figures),
        "is_reward_model": scores_answers(version),
        "lineage": lineage_of(version),
        "method": get_method(version.run.method) if version.run else None,
        "promote_form": ConfirmForm(word=_word(version), **confirm),
        "roll_back_form": ConfirmForm(word="roll back", **confirm),
        "sample_form": SampleForm(),
        **forms,
    }
    status = 422 if forms else 200
    return render_page(request, "training/version.html", project, context, status=status)


def _word(version: ModelVersion) -> str:
    return f"promote version {version.number}"


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def version(request: SignedInRequest, project: Project, number: int) -> HttpResponse:
    return _render_version(request, project, _version(project, number))


@project_view(Capability.TRAIN)
@require_POST
def promote(request: SignedInRequest, project: Project, number: int) -> HttpResponse:
    found = _version(project, number)
    form = ConfirmForm(request.POST, word=_word(found), project=project, replacing=None)
    if not form.is_valid():
        return _render_version(request, project, found, promote_form=form)
    given = form.cleaned_data
    promote_version(
        version=found, replacing=given["replacing"], by=request.user, note=given["note"]
    )
    messages.success(request, f"Version {number} is promoted. Now let it answer prompts.")
    return redirect("training:version", project.pk, number)


@project_view(Capability.TRAIN)
@require_POST
def take_back(request: SignedInRequest, project: Project, number: int) -> HttpResponse:
    found = _version(project, number)
    form = ConfirmForm(request.POST, word="roll back", project=project, replacing=None)
    if not form.is_valid():
        return _render_version(request, project, found, roll_back_form=form)
    done: Promotion = roll_back(version=found, by=request.user, note=form.cleaned_data["note"])
    messages.success(request, f"Rolled back: version {done.version.number} is in use again.")
    return redirect("training:version", project.pk, done.version.number)


@project_view(Capability.TRAIN)
@require_POST
def sample(request: SignedInRequest, project: Project, number: int) -> HttpResponse:
    found = _version(project, number)
    form = SampleForm(request.POST)
    if form.is_valid():
        try:
            request_samples(version=found, created_by=request.user, **form.cleaned_data)
        except KeyUsed as error:
            offer_again(form, error, again="Ask again")
        except PrefloopError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "Sampling is queued. Items appear as answers are written.")
            return redirect("training:loop", project.pk)
    return _render_version(request, project, found, sample_form=form)
