"""Snapshots: what could be frozen now, what has been, and what each holds."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from annotation.access import Capability, project_view
from annotation.models import Kind, Project
from core.access import SignedInRequest
from core.errors import PrefloopError
from core.models import Job
from feedback.forms import FreezeForm
from feedback.models import Snapshot
from feedback.selectors.agreement import criterion_names, unfinished_job
from feedback.selectors.snapshot import LEFT_OUT, count_left_out, count_sides
from feedback.services.freeze_snapshot import NothingToFreeze, request_freeze
from feedback.services.policy import current_policy
from feedback.snapshot_files import verify

SIDES = (("train", "Training"), ("held_out", "Held out"))
DATA = {
    "pairs": "Pairs",
    "lists": "Ranked lists",
    "binary": "Binary (from thumbs)",
    "binary_from_pairs": "Binary, pairs used too",
    "demonstrations": "Demonstrations (rewrites)",
    "demonstrations_from_preferred": "Demonstrations, preferred responses used too",
    "prompts": "Prompts",
}


def _left_out(counts: dict[str, int]) -> list[tuple[int, str]]:
    return [(count, LEFT_OUT[reason]) for reason, count in counts.items()]


@project_view(Capability.RESEARCH)
@require_GET
def snapshots(request: SignedInRequest, project: Project) -> HttpResponse:
    return _snapshots(request, project, FreezeForm())


def _snapshots(request: SignedInRequest, project: Project, form: FreezeForm) -> HttpResponse:
    sides, left_out = count_sides(project), count_left_out(project)
    context = {
        "project": project,
        "snapshots": project.snapshots.select_related("created_by"),
        "sides": [(name, sides[side]) for side, name in SIDES],
        "left_out": _left_out(left_out),
        "closed": left_out.get("closed", 0),
        "policy": current_policy(project),
        "form": form,
        "job": unfinished_job(project, "freeze_snapshot"),
    }
    status = 400 if form.errors else 200
    return render(request, "feedback/snapshots.html", context, status=status)


@project_view(Capability.RESEARCH)
@require_POST
def freeze(request: SignedInRequest, project: Project) -> HttpResponse:
    form = FreezeForm(request.POST)
    if not form.is_valid():
        raise PrefloopError("The note may have 200 characters at most.")
    try:
        job = unfinished_job(project, "freeze_snapshot") or request_freeze(
            project=project, created_by=request.user, note=form.cleaned_data["note"]
        )
    except NothingToFreeze as error:
        form.add_error(None, error.message)
        return _snapshots(request, project, form)
    return redirect("feedback:freezing", project.pk, job.pk)


@project_view(Capability.RESEARCH)
@require_GET
def freezing(request: SignedInRequest, project: Project, job_id: int) -> HttpResponse:
    """Waits for the job, then shows what it froze."""
    job = get_object_or_404(Job, pk=job_id, kind="freeze_snapshot", project_id=project.pk)
    if job.state != Job.State.SUCCEEDED:
        return render(request, "feedback/freezing.html", {"project": project, "job": job})
    if not job.result["is_new"]:
        messages.info(
            request, "Nothing has changed since this snapshot was frozen, so it is the same one."
        )
    shown = redirect("feedback:snapshot", project.pk, job.result["snapshot"])
    # htmx would follow it inside the page, whose address stayed and whose message were lost.
    return HttpResponseClientRedirect(shown.url) if request.htmx else shown  # type: ignore[attr-defined]


@project_view(Capability.RESEARCH)
@require_GET
def snapshot(request: SignedInRequest, project: Project, snapshot_id: int) -> HttpResponse:
    row = get_object_or_404(
        Snapshot.objects.select_related("created_by", "replaced_by"),
        pk=snapshot_id, project=project,
    )  # fmt: skip
    manifest, names = row.manifest, criterion_names(project)
    context = {
        "project": project,
        "snapshot": row,
        "manifest": manifest,
        "counts": [_count(one, names) for one in manifest["counts"]],
        "rows": _rows(manifest["rows"], names),
        "files": [(name, manifest["files"][side]) for side, name in SIDES],
        "prompts": [(name, manifest["prompts"][side]) for side, name in SIDES],
        "left_out": _left_out(manifest["left_out"]),
        "exports": row.exports.select_related("job")[:20],
    }
    return render(request, "feedback/snapshot.html", context)


def _count(one: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        **one,
        "side": dict(SIDES)[one["side"]],
        "kind": Kind(one["kind"]).label,
        "criterion": names.get(one["criterion"], one["criterion"]),
    }


def _rows(rows: dict[str, Any], names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"data": DATA[data], "criterion": names.get(criterion, criterion), **sides}
        for data, criteria in rows.items()
        for criterion, sides in criteria.items()
        if sum(sides.values())
    ]


@project_view(Capability.RESEARCH)
@require_POST
def verify_snapshot(request: SignedInRequest, project: Project, snapshot_id: int) -> HttpResponse:
    row = get_object_or_404(Snapshot, pk=snapshot_id, project=project)
    verify(row)
    messages.success(request, "The files are, to the byte, what was frozen.")
    return redirect("feedback:snapshot", project.pk, row.pk)
