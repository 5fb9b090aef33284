"""What is decided, item by item."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from feedback.models import Preference
from feedback.outcome_words import outcome_words
from feedback.selectors.agreement import criterion_names, unfinished_job
from feedback.selectors.preferences import count_by_state, preferences_of, stale_of

PER_PAGE = 50


@project_view(Capability.RESEARCH)
@require_GET
def preferences(request: SignedInRequest, project: Project) -> HttpResponse:
    names, criterion = criterion_names(project), request.GET.get("criterion", "")
    states = [state for state in request.GET.getlist("state") if state in Preference.State.values]
    criterion = criterion if criterion in names else ""
    rows = preferences_of(project).select_related("item__prompt").order_by("-pk")
    if states:
        rows = rows.filter(state__in=states)
    if criterion:
        rows = rows.filter(criterion=criterion)
    query = [("state", state) for state in states] + [("criterion", criterion)] * bool(criterion)
    counts = count_by_state(project)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "rows": [
            (row, names.get(row.criterion, row.criterion), outcome_words(row.state, row.outcome))
            for row in page
        ],
        "states": [
            (state, Preference.State(state).label, count, states == [state])
            for state, count in counts.items()
        ],
        "total": sum(counts.values()),
        "query": urlencode(query) + "&" if query else "",
        "stale": stale_of(project).count(),
        "job": unfinished_job(project, "resolve_items"),
    }
    return render(request, "feedback/preferences.html", context)
