"""Gold items: the list, an item's known answer, drawing some by chance, taking one back."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.forms import show_error
from annotation.gold_form import GoldForm
from annotation.models import Item, Project
from annotation.selectors.content import item_detail, state_of
from annotation.selectors.gold import gold_items, gold_rows, known_answers, with_known_answers
from annotation.services.draw_gold import MOST, draw_gold
from annotation.services.gold import set_gold, unset_gold
from core.access import SignedInRequest
from core.errors import PrefloopError

GOLD_A_PAGE = 50
# More are not counted: that would read them all.
COUNTED = 1000
DRAWN_AT_ONCE = 20


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def gold(request: SignedInRequest, project: Project) -> HttpResponse:
    page = Paginator(gold_items(project), GOLD_A_PAGE).get_page(request.GET.get("page"))
    known = with_known_answers(project).values_list("pk", flat=True)[: COUNTED + 1].count()
    context = {
        "project": project,
        "page": page,
        "rows": gold_rows(page.object_list),
        "known": min(known, COUNTED),
        "known_is_more": known > COUNTED,
        "most": min(known, MOST),
        "suggested": min(known, DRAWN_AT_ONCE),
    }
    return render(request, "annotation/gold.html", context)


@project_view(Capability.MANAGE)
@require_POST
def draw(request: SignedInRequest, project: Project) -> HttpResponse:
    written = request.POST.get("count", "")
    count = int(written) if written.isdecimal() and len(written) < 6 else 0
    drawn = draw_gold(project=project, count=count, actor=request.user)
    messages.success(request, f"{len(drawn)} item{'' if len(drawn) == 1 else 's'} made gold.")
    return redirect("annotation:gold", project.pk)


@project_view(Capability.MANAGE)
@require_http_methods(["GET", "POST"])
@never_cache
def edit(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    """The right answer of one item; a link may bring a suggestion, such as an adjudicated one."""
    items = Item.objects.filter(project=project).select_related("prompt", "project")
    item = get_object_or_404(items, pk=item_id)
    initial = GoldForm.initial_of(known_answers(item)) | request.GET.dict()
    protocol = project.protocol
    form = GoldForm(request.POST or None, item=item, protocol=protocol, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            set_gold(item=item, answers=form.values(), actor=request.user, source=str(request.user))
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"Item {item.pk} is gold.")
            return redirect("annotation:gold", project.pk)
    context = {"project": project, "detail": item_detail(item), "form": form}
    context["state"] = state_of(item)
    status = 422 if request.method == "POST" else 200
    return render(request, "annotation/gold_item.html", context, status=status)


@project_view(Capability.MANAGE)
@require_POST
def unset(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    item = get_object_or_404(Item, project=project, pk=item_id)
    unset_gold(item=item, actor=request.user)
    messages.success(request, f"Item {item.pk} is an item like any other again.")
    return redirect("annotation:gold", project.pk)
