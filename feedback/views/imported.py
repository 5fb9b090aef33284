"""What the policy makes of an import, inside the import's report."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Project
from annotation.services.import_job import KIND
from core.access import SignedInRequest
from core.models import Job
from feedback.selectors.imported import undecided_imports
from feedback.services.policy import current_policy


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def closed(request: SignedInRequest, project: Project, job_id: int) -> HttpResponse:
    """Closed items that the policy never decides; nothing where there are none."""
    job = get_object_or_404(Job, pk=job_id, kind=KIND, project_id=project.pk)
    policy = current_policy(project)
    context = {
        "project": project,
        "policy": policy,
        "undecided": undecided_imports(project, policy, job.result.get("closed", [])),
    }
    return render(request, "feedback/_imported_closed.html", context)
