"""What was decided, beside the judgments; and on an item's page all that reviewers said of it."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Item, Project
from core.access import SignedInRequest
from feedback.selectors.adjudicated import decided, last_words, reviewers_of, words_on
from feedback.selectors.adjudication import last_decision
from feedback.selectors.review_queue import Filter, queue_of

PER_PAGE = 50


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def adjudicated(request: SignedInRequest, project: Project) -> HttpResponse:
    rows = last_words(project).select_related("adjudicator", "item__prompt")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "rows": decided(project, list(page.object_list)),
        "reviewers": reviewers_of(project),
        "last": last_decision(project, request.user),
        "waiting": queue_of(project, Filter()).items,
        "may_see_items": Capability.RESEARCH in project.may,
    }
    return render(request, "feedback/adjudicated.html", context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def item_decisions(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    item = Item.objects.filter(project=project, pk=item_id).select_related("project").first()
    if item is None:
        raise Http404
    return render(request, "feedback/_item_decisions.html", {"rows": words_on(item)})
