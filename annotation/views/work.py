"""The queue as managers run it: what waits for them, who works, what is held, how fast it goes."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Assignment, Flag, Item, Membership, Project
from annotation.selectors.throughput import throughput
from annotation.selectors.waiting import ageing, items_to_decide, to_decide
from annotation.selectors.work import paused_people, present, waiting_for_managers
from annotation.services.membership import restore_member
from annotation.services.release_lease import release_lease
from annotation.services.settle_flag import Decision, decide_on_item, settle_flag
from annotation.work_plots import day_plot, hour_plot, pace_sentence
from core.access import SignedInRequest, signed_in

DECISIONS_A_PAGE = 5
DECIDED = {
    Decision.KEEP: "Item {} stays as it is, and its flags are settled.",
    Decision.REOPEN: "Item {} is back in the queue.",
    Decision.CLOSE: "Item {} is closed: nobody is asked about it any more.",
}


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def work(request: SignedInRequest, project: Project) -> HttpResponse:
    """What waits for a decision; what takes longer to count comes in parts of its own."""
    since = items_to_decide(project)
    page = Paginator(list(since), DECISIONS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "paused": paused_people(project),
        "page": page,
        "decisions": to_decide({pk: since[pk] for pk in page.object_list}),
        "has_items": project.items.exists(),
    }
    return render(request, "annotation/work.html", context)


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def work_now(request: SignedInRequest, project: Project) -> HttpResponse:
    context = {"project": project, "present": present(project)}
    return render(request, "annotation/_work_now.html", context)


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def work_pace(request: SignedInRequest, project: Project) -> HttpResponse:
    found = throughput(project)
    context = {
        "project": project,
        "throughput": found,
        "verdict": pace_sentence(found),
        "plots": [plot for plot in (day_plot(found), hour_plot(found)) if plot is not None],
    }
    return render(request, "annotation/_work_pace.html", context)


@project_view(Capability.MANAGE)
@require_GET
@never_cache
def work_ageing(request: SignedInRequest, project: Project) -> HttpResponse:
    context = {"project": project, "ageing": ageing(project)}
    return render(request, "annotation/_work_ageing.html", context)


def _back(project: Project) -> HttpResponse:
    return redirect("annotation:work", project.pk)


@project_view(Capability.MANAGE)
@require_POST
def release(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    held = Assignment.objects.filter(item__project=project).select_related("annotator__user")
    assignment = get_object_or_404(held, pk=assignment_id)
    release_lease(assignment=assignment, actor=request.user)
    who = assignment.annotator.user or assignment.annotator
    messages.success(
        request,
        f"Item {assignment.item_id} is free again. Should {who} still answer, it is kept.",
    )
    return _back(project)


@project_view(Capability.MANAGE)
@require_POST
def decide(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    item = get_object_or_404(Item, project=project, pk=item_id)
    try:
        decision = Decision(request.POST.get("decision", ""))
    except ValueError as error:
        raise Http404 from error
    decide_on_item(item=item, decision=decision, actor=request.user)
    messages.success(request, DECIDED[decision].format(item.pk))
    return _back(project)


@project_view(Capability.MANAGE)
@require_POST
def settle(request: SignedInRequest, project: Project, flag_id: int) -> HttpResponse:
    flags = Flag.objects.select_related("assignment__item")
    flag = get_object_or_404(flags, pk=flag_id, assignment__item__project=project)
    settle_flag(flag=flag, actor=request.user)
    messages.success(request, "The flag is settled; the item stays as it is.")
    return _back(project)


@project_view(Capability.MANAGE)
@require_POST
def restore(request: SignedInRequest, project: Project, user_id: int) -> HttpResponse:
    members = Membership.objects.select_related("user", "project")
    member = get_object_or_404(members, project=project, user_id=user_id)
    restore_member(membership=member, actor=request.user)
    messages.success(
        request, f"{member.user} may work again. Pause rules look only at what comes from now on."
    )
    return _back(project)


@signed_in
@require_GET
@never_cache
def home_waiting(request: SignedInRequest) -> HttpResponse:
    """A part of the home page: empty for those who manage nothing, or when nothing waits."""
    waiting = waiting_for_managers(request.user)
    return render(request, "annotation/_home_waiting.html", {"waiting": waiting})
