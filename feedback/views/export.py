"""Exports: asked for, followed, downloaded."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from core.errors import Conflict
from feedback.forms import ExportForm
from feedback.models import Export
from feedback.selectors.agreement import criterion_names
from feedback.services.export import path_of, request_export

TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}
SHOWN = 50


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
def exports(request: SignedInRequest, project: Project) -> HttpResponse:
    names = criterion_names(project)
    asked = {"snapshot": request.GET["snapshot"]} if "snapshot" in request.GET else {}
    form = ExportForm(request.POST or None, initial=asked, project=project, names=names)
    if request.method == "POST" and form.is_valid():
        request_export(
            project=project,
            snapshot=form.cleaned_data["snapshot"],
            shape=form.cleaned_data["shape"],
            format=form.cleaned_data["format"],
            options=form.options(),
            created_by=request.user,
        )
        return redirect("feedback:exports", project.pk)
    rows = project.exports.select_related("snapshot", "job", "created_by")[:SHOWN]
    context = {
        "project": project,
        "form": form,
        "exports": [(row, path_of(row) is not None) for row in rows],
        "has_snapshot": project.snapshots.exists(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "feedback/exports.html", context, status=status)


@project_view(Capability.RESEARCH)
@require_GET
def download(request: SignedInRequest, project: Project, export_id: int) -> HttpResponse:
    export = get_object_or_404(Export, pk=export_id, project=project)
    if not export.file_name:
        raise Conflict("This export is not ready yet. Its progress is on the exports page.")
    path = path_of(export)
    if path is None:
        raise Http404
    return FileResponse(  # type: ignore[return-value]
        path.open("rb"),
        as_attachment=True,
        filename=path.name,
        content_type=TYPES[export.format],
        headers={"X-Content-Type-Options": "nosniff"},
    )
