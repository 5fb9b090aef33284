"""The labeling page: the next item, an answer to it, a skip, a change of the last answer."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.answer_form import read_form, show_item
from annotation.models import Assignment, Membership, Project, Protocol
from annotation.selectors.queue import done_by, is_held_by_others, last_answered, work_of
from annotation.services.annotator import annotator_for_user
from annotation.services.claim_item import claim_item, extend_lease
from annotation.services.revise_judgment import revise_judgment
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.access import SignedInRequest, signed_in
from core.errors import PrefloopError


def _route(name: str, project: Project) -> str:
    return reverse(f"annotation:{name}", args=[project.pk])


def _own_assignment(request: SignedInRequest, project: Project) -> Assignment:
    """The assignment that the form names, if it is the user's own and of this project."""
    own = Assignment.objects.visible_to(request.user).filter(item__project=project)
    number = request.POST.get("assignment", "")
    found = own.select_related("item").filter(pk=number).first() if number.isdecimal() else None
    if found is None:
        raise Http404
    return found


def _context(request: SignedInRequest, project: Project, protocol: Protocol) -> dict[str, Any]:
    done = done_by(project=project, user=request.user)
    return {
        "project": project,
        "project_url": _route("project", project),
        "home_url": reverse("core:home"),
        "next_url": _route("label", project),
        "submit_url": _route("label-submit", project),
        "skip_url": _route("label-skip", project),
        "heartbeat_url": _route("label-heartbeat", project),
        "undo_url": _route("label-last", project) if done.lately else None,
        "done_today": done.today,
        "criteria": protocol.criteria,
        "guidelines": protocol.guidelines,
    }


def _page(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    """The same partial serves the page and the swap."""
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "annotation/_item.html", context)
    return render(request, "annotation/label.html", context)


def _next(
    request: SignedInRequest, project: Project, protocol: Protocol, *, said: str = ""
) -> HttpResponse:
    assignment = claim_item(project=project, user=request.user)
    context = _context(request, project, protocol) | {"said": said}
    if assignment is None:
        annotator = annotator_for_user(user=request.user)
        context["held_by_others"] = is_held_by_others(project=project, annotator=annotator)
    else:
        context["item"] = show_item(assignment, protocol)
    return _page(request, context)


def _after(
    request: SignedInRequest, project: Project, protocol: Protocol, said: str
) -> HttpResponse:
    """htmx gets the next item in this reply; a plain form is sent to it."""
    if request.htmx:  # type: ignore[attr-defined]
        return _next(request, project, protocol, said=said)
    return redirect("annotation:label", project.pk)


@project_view(None)
@require_GET
@never_cache
def label(request: SignedInRequest, project: Project) -> HttpResponse:
    protocol = project.protocol
    if Capability.JUDGE in project.may:
        return _next(request, project, protocol)
    membership = project.memberships.get(user=request.user)
    paused = membership.state == Membership.State.PAUSED
    reason = membership.state_reason or "A manager of the project paused it."
    context = _context(request, project, protocol)
    return _page(request, context | {"paused": paused, "paused_text": reason})


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def submit(request: SignedInRequest, project: Project) -> HttpResponse:
    assignment, protocol = _own_assignment(request, project), project.protocol
    sent = read_form(
        request.POST,
        kind=assignment.item.kind,
        size=len(assignment.shown_order),
        criteria=protocol.criterion_keys,
    )
    was_answered = assignment.current_id is not None
    record = revise_judgment if was_answered else submit_judgment
    record(
        assignment=assignment,
        client_key=sent.client_key,
        answers=sent.answers,
        comment=sent.comment,
        reasons=sent.reasons,
        duration_ms=sent.duration_ms,
        active_ms=sent.active_ms,
        protocol=protocol,
    )
    return _after(request, project, protocol, "Changed." if was_answered else "Saved.")


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def skip(request: SignedInRequest, project: Project) -> HttpResponse:
    assignment = _own_assignment(request, project)
    flagged = request.POST.get("why") == "flag"
    comment = request.POST.get("comment", "").replace("\0", "")
    skip_item(assignment=assignment, reason=comment, flagged=flagged)
    return _after(
        request, project, project.protocol, "Flagged for the manager." if flagged else "Skipped."
    )


@project_view(Capability.JUDGE)
@require_GET
@never_cache
def last(request: SignedInRequest, project: Project) -> HttpResponse:
    assignment = last_answered(project=project, user=request.user)
    if assignment is None:
        raise PrefloopError("There is no answer of the last day that could be changed.")
    protocol = project.protocol
    context = _context(request, project, protocol) | {
        "item": show_item(assignment, protocol),
        "revising": True,
    }
    return _page(request, context)


@project_view(Capability.JUDGE)
@require_POST
def heartbeat(request: SignedInRequest, project: Project) -> HttpResponse:
    extend_lease(assignment=_own_assignment(request, project))
    return HttpResponse(status=204)


@signed_in
@require_GET
@never_cache
def home_work(request: SignedInRequest) -> HttpResponse:
    return render(request, "annotation/_home_work.html", {"work": work_of(request.user)})
