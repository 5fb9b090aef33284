"""Leaving a labeler out, or counting them less: first what would change, then the change."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Annotator, Project
from core import jobs
from core.access import SignedInRequest
from core.errors import PrefloopError
from core.models import Job
from feedback.change_words import agreement_words, change_words
from feedback.forms import WeighForm
from feedback.models import Policy
from feedback.selectors.change import preview_change
from feedback.selectors.labelers import is_measured_at_once
from feedback.services.policy import PolicyValues, current_policy
from feedback.services.weigh_annotator import weigh_annotator, weight_in, with_weight

GIVEN_TOO_LARGE = 19


def _annotator(project: Project, annotator_id: int) -> Annotator:
    """Somebody who has judged here."""
    rows = Annotator.objects.filter(assignments__item__project=project, judge=None)
    return get_object_or_404(rows.distinct(), pk=annotator_id)


def _given(request: SignedInRequest, source: Any) -> WeighForm:
    form = WeighForm(source)
    if not form.is_valid():
        raise PrefloopError("A weight lies between 0, which leaves somebody out, and 10.")
    return form


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def weigh(request: SignedInRequest, project: Project, annotator_id: int) -> HttpResponse:
    """What would change; computed at once, or by a job where there is much."""
    annotator = _annotator(project, annotator_id)
    weight = _given(request, request.GET).cleaned_data["weight"]
    policy = current_policy(project)
    preview, job = _tried(_job(request, project, annotator, weight), policy)
    if is_measured_at_once(project):
        new = with_weight(PolicyValues.of(policy), annotator, weight).unsaved(project)
        preview = preview_change(project, policy, new)
    context: dict[str, Any] = {
        "project": project,
        "annotator": annotator,
        "weight": weight,
        "now": weight_in(policy, annotator),
        "policy": policy,
        "preview": preview,
        "job": None if preview else job,
    }
    if preview is not None:
        context["words"] = change_words(preview)
        context["agreement"] = [agreement_words(one) for one in preview["agreement"]]
    return render(request, "feedback/weigh.html", context)


def _tried(job: Job | None, policy: Policy) -> tuple[dict[str, Any] | None, Job | None]:
    """What a job found, or the job if it is not done.

    What was tried against another version of the policy is not what confirming it would do.
    """
    if job is None or job.state != Job.State.SUCCEEDED:
        return None, job
    found: dict[str, Any] = job.result or {}
    return (found if found.get("policy_version") == policy.version else None), None


def _job(
    request: SignedInRequest, project: Project, annotator: Annotator, weight: float
) -> Job | None:
    """The job that the address names, if it is about this."""
    number = request.GET.get("job", "")
    if not number:
        return None
    if not number.isdecimal() or len(number) >= GIVEN_TOO_LARGE:
        raise Http404
    job = get_object_or_404(Job, pk=int(number), kind="preview_weight", project_id=project.pk)
    if job.args != {"annotator": annotator.pk, "weight": weight}:
        raise Http404
    return job


@project_view(Capability.RESEARCH)
@require_POST
def try_weight(request: SignedInRequest, project: Project, annotator_id: int) -> HttpResponse:
    """Nothing is written but the job that computes."""
    annotator = _annotator(project, annotator_id)
    weight = _given(request, request.POST).cleaned_data["weight"]
    job = jobs.enqueue(
        "preview_weight",
        args={"annotator": annotator.pk, "weight": weight},
        created_by=request.user,
        project_id=project.pk,
    )
    address = reverse("feedback:weigh", args=[project.pk, annotator.pk])
    return redirect(f"{address}?weight={weight:g}&job={job.pk}")


@project_view(Capability.RESEARCH)
@require_POST
def set_weight(request: SignedInRequest, project: Project, annotator_id: int) -> HttpResponse:
    annotator = _annotator(project, annotator_id)
    given = _given(request, request.POST).cleaned_data
    saved = weigh_annotator(
        project=project,
        actor=request.user,
        annotator=annotator,
        weight=given["weight"],
        from_version=given["from_version"] or 0,
    )
    messages.success(request, _done(saved, annotator))
    return redirect("feedback:labeler", project.pk, annotator.pk)


def _done(policy: Policy, annotator: Annotator) -> str:
    weight = weight_in(policy, annotator)
    what = {"0": "is left out", "1": "counts fully"}.get(f"{weight:g}", f"counts {weight:g}")
    return (
        f"{annotator.pseudonym.capitalize()} {what}: policy version {policy.version}. "
        "Decisions follow in a moment; below is the way back."
    )
