"""A job's progress as a fragment that asks for itself until the job is over, and its cancel."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from core.access import SignedInRequest, signed_in
from core.errors import NotAllowed
from core.jobs import may_see, may_stop, request_cancel
from core.models import Job

# htmx swaps this in and asks no more.
STOP_POLLING = 286


def _load(request: SignedInRequest, job_id: int) -> Job:
    job = Job.objects.filter(pk=job_id).first()
    if job is None or not may_see(request.user, job):
        raise Http404
    return job


def _shown(request: SignedInRequest, job: Job) -> HttpResponse:
    status = STOP_POLLING if job.is_over else 200
    reply = render(request, "core/_job.html", {"job": job}, status=status)
    if job.is_over:
        # A page may wait for this to fetch what the job made.
        reply["HX-Trigger"] = "job-over"
    return reply


@signed_in
@require_GET
@never_cache
def job(request: SignedInRequest, job_id: int) -> HttpResponse:
    return _shown(request, _load(request, job_id))


@signed_in
@require_POST
def cancel_job(request: SignedInRequest, job_id: int) -> HttpResponse:
    job = _load(request, job_id)
    if not may_stop(request.user, job):
        raise NotAllowed("Only an admin may stop training. Ask one.")
    return _shown(request, request_cancel(job=job))
