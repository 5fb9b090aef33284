"""Importing from the browser: upload, progress, report, and a dry run made real."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.forms import ImportForm, show_error
from annotation.importers import FORMATS
from annotation.models import Project
from annotation.services.import_job import (
    KIND,
    PROBLEMS,
    folder_of,
    import_after_dry_run,
    request_import,
)
from core.access import SignedInRequest
from core.errors import PrefloopError
from core.models import Job

JOBS_SHOWN = 20


def _jobs(project: Project) -> list[Job]:
    found = Job.objects.filter(kind=KIND, project_id=project.pk).select_related("created_by")
    return list(found.order_by("-pk")[:JOBS_SHOWN])


def _load(project: Project, job_id: int) -> Job:
    job = Job.objects.filter(kind=KIND, project_id=project.pk, pk=job_id).first()
    if job is None:
        raise Http404
    return job


@project_view(Capability.RESEARCH)
@require_http_methods(["GET", "POST"])
@never_cache
def import_data(request: SignedInRequest, project: Project) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            job = request_import(
                project=project,
                created_by=request.user,
                format_name=given["format"],
                uploads=given["files"],
                label=given["label"],
                dry_run=given["dry_run"],
                keep_open=given["keep_open"],
                hide_gold=given["hide_gold"],
            )
        except PrefloopError as error:
            show_error(form, error)
        else:
            return redirect("annotation:import-job", project.pk, job.pk)
    context = {"project": project, "form": form, "formats": FORMATS.values()}
    context["jobs"] = _jobs(project)
    refused = request.method == "POST"
    return render(request, "annotation/import.html", context, status=422 if refused else 200)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def import_job(request: SignedInRequest, project: Project, job_id: int) -> HttpResponse:
    """The page, or (for htmx, when the job is over) only its report."""
    context = {"project": project, "job": _load(project, job_id)}
    name = "_import_report.html" if request.htmx else "import_job.html"  # type: ignore[attr-defined]
    return render(request, f"annotation/{name}", context)


@project_view(Capability.RESEARCH)
@require_POST
def confirm_import(request: SignedInRequest, project: Project, job_id: int) -> HttpResponse:
    job = import_after_dry_run(job=_load(project, job_id), created_by=request.user)
    return redirect("annotation:import-job", project.pk, job.pk)


@project_view(Capability.RESEARCH)
@require_GET
def import_problems(request: SignedInRequest, project: Project, job_id: int) -> HttpResponseBase:
    path = folder_of(_load(project, job_id).args["folder"]) / PROBLEMS
    if not path.is_file():
        raise Http404
    return FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"problems-{job_id}.txt",
        content_type="text/plain; charset=utf-8",
    )
