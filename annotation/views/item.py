"""Items, with who wrote what and who answered how."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Item, Kind, Project
from annotation.selectors.content import STATES, item_detail, items_of, state_of
from annotation.services.item import close_item, extend_overlap, reopen_item
from core.access import SignedInRequest

ITEMS_A_PAGE = 50
ACTIONS = {
    "close": (close_item, "The item is closed: nobody is asked about it any more."),
    "reopen": (reopen_item, "The item is back in the queue."),
}


def _load(project: Project, item_id: int) -> Item:
    item = Item.objects.filter(project=project, pk=item_id).select_related("prompt").first()
    if item is None:
        raise Http404
    return item


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def items(request: SignedInRequest, project: Project) -> HttpResponse:
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    kind = kind if kind in Kind.values else ""
    state = state if state in STATES else ""
    found = items_of(project, kind=kind, state=state)
    page = Paginator(found, ITEMS_A_PAGE).get_page(request.GET.get("page"))
    chosen = {name: value for name, value in (("kind", kind), ("state", state)) if value}
    context = {
        "project": project,
        "page": page,
        "rows": [(item, state_of(item)) for item in page.object_list],
        "kinds": Kind.choices,
        "states": [(name, words) for name, (words, _) in STATES.items()],
        "kind": kind,
        "state": state,
        "query": urlencode(chosen) + "&" if chosen else "",
    }
    return render(request, "annotation/items.html", context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def item(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    found = _load(project, item_id)
    context = {"project": project, "detail": item_detail(found), "state": state_of(found)}
    return render(request, "annotation/item.html", context)


@project_view(Capability.RESEARCH)
@require_POST
def move_item(
    request: SignedInRequest, project: Project, item_id: int, action: str
) -> HttpResponse:
    service, words = ACTIONS[action]
    service(item=_load(project, item_id), actor=request.user)
    messages.success(request, words)
    return redirect("annotation:item", project.pk, item_id)


@project_view(Capability.RESEARCH)
@require_POST
def ask_more(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    found = extend_overlap(item=_load(project, item_id), by=1, actor=request.user)
    messages.success(request, f"{found.overlap} people are now asked about this item.")
    return redirect("annotation:item", project.pk, item_id)
