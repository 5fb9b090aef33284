"""The part of the project's funnel whose numbers are feedback's."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from feedback.selectors.agreement import newest_reports
from feedback.selectors.preferences import count_by_state
from feedback.verdicts import people_verdict


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def funnel(request: SignedInRequest, project: Project) -> HttpResponse:
    states = count_by_state(project)
    reports = newest_reports(project)
    newest = project.snapshots.first()
    context = {
        "project": project,
        "accepted": states["accepted"] + states["adjudicated"] + states["tied"],
        "states": states,
        "verdict": people_verdict(reports[0].figures) if reports else "",
        "snapshot": newest,
        "snapshots": project.snapshots.count(),
        "records": sum(one["records"] for one in newest.manifest["counts"]) if newest else 0,
    }
    return render(request, "feedback/_funnel.html", context)
