"""The labeling page: the next item, an answer to it, a skip, a flag, a change of an old answer.

The page holds the next item ready. A submit names the one that is on screen by then (`held`),
and its reply brings the one after it; without `held` it brings the next to show.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.answer_form import draft_of, history_of, protocol_shown, read_form, show_item
from annotation.models import Assignment, Flag, Project, Protocol
from annotation.selectors.pause import pause_of
from annotation.selectors.queue import (
    done_by,
    is_held_by_others,
    last_answered,
    last_protocol_version,
    own_by_number,
    work_of,
)
from annotation.services.annotator import annotator_for_user
from annotation.services.claim_item import claim_item, extend_lease, open_assignment
from annotation.services.flag_item import flag_item
from annotation.services.revise_judgment import revise_judgment
from annotation.services.save_draft import save_draft
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.access import SignedInRequest, signed_in
from core.errors import PrefloopError

# Only a reply that bears this says that the answer is safe; a network in between may say 200 too.
STORED = "Prefloop-Stored"
# A lease of this moment has no draft yet.
NEW = timedelta(seconds=2)


def _own(request: SignedInRequest, project: Project, numbers: Sequence[str]) -> list[Assignment]:
    """The user's own assignments of these numbers, in their order; 404 when one is not theirs."""
    found = _found(request, project, numbers)
    if not numbers or not all(number in found for number in numbers):
        raise Http404
    return [found[number] for number in numbers]


def _found(
    request: SignedInRequest, project: Project, numbers: Sequence[str]
) -> dict[str, Assignment]:
    """Those of these numbers that are the user's own, as they were written."""
    known = {number: int(number) for number in numbers if number.isdecimal() and len(number) < 19}
    found = own_by_number(project=project, user=request.user, numbers=known.values())
    return {number: found[key] for number, key in known.items() if key in found}


def _named(request: SignedInRequest, project: Project) -> tuple[Assignment, Assignment | None]:
    """What the form answers, and what is on screen already. The latter must not cost the answer:
    when it is not theirs, the reply brings the next to show."""
    number, held = request.POST.get("assignment", ""), request.POST.get("held", "")
    found = _found(request, project, [number, held])
    if number not in found:
        raise Http404
    return found[number], found.get(held)


def _shown(
    request: SignedInRequest, project: Project, protocol: Protocol, assignment: Assignment | None
) -> dict[str, Any]:
    """What the item's own template reads."""
    context: dict[str, Any] = {"project": project, "protocol": protocol}
    if assignment is None:
        annotator = annotator_for_user(user=request.user)
        context["held_by_others"] = is_held_by_others(project=project, annotator=annotator)
        return context
    context["item"] = show_item(assignment, protocol)
    if assignment.created_at < timezone.now() - NEW:
        context["draft"] = draft_of(assignment)
    if assignment.current_id:
        context["history"] = history_of(assignment, protocol)
    return context


def _page(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    """The same partial serves the page and the swap."""
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "annotation/_item.html", context)
    project = context["project"]
    # The script counts on from here: a count in every reply would cost a sixth of it.
    context["done"] = done_by(project=project, user=request.user)
    context["judged_by"] = last_protocol_version(project=project, user=request.user)
    return render(request, "annotation/label.html", context)


def _next(request: SignedInRequest, project: Project, protocol: Protocol) -> HttpResponse:
    assignment = claim_item(project=project, user=request.user)
    return _page(request, _shown(request, project, protocol, assignment))


def _ahead(
    request: SignedInRequest, project: Project, protocol: Protocol, on_screen: Assignment
) -> HttpResponse:
    """The item after the one on screen, held ready."""
    assignment = claim_item(project=project, user=request.user, beside=[on_screen.pk])
    if assignment is None:
        return HttpResponse(status=204)
    context = _shown(request, project, protocol, assignment)
    return render(request, "annotation/_item.html", context)


def _after(
    request: SignedInRequest, project: Project, protocol: Protocol, held: Assignment | None
) -> HttpResponse:
    """The script gets the next item in this reply; a plain form is sent to it."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("annotation:label", project.pk)
    if held is None:
        reply = _next(request, project, protocol)
    else:
        reply = _ahead(request, project, protocol, open_assignment(assignment=held))
    return _stored(request, reply)


def _stored(request: SignedInRequest, reply: HttpResponse) -> HttpResponse:
    reply[STORED] = quote(request.POST.get("client_key", "")[:64])
    return reply


@project_view(None)
@require_GET
@never_cache
def label(request: SignedInRequest, project: Project) -> HttpResponse:
    protocol = project.protocol
    if Capability.JUDGE in project.may:
        return _next(request, project, protocol)
    membership = project.memberships.get(user=request.user)
    return _page(
        request,
        {
            "project": project,
            "protocol": protocol,
            "paused": pause_of(membership),
        },
    )


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def ahead(request: SignedInRequest, project: Project) -> HttpResponse:
    (on_screen,) = _own(request, project, [request.POST.get("held", "")])
    return _ahead(request, project, project.protocol, on_screen)


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def submit(request: SignedInRequest, project: Project) -> HttpResponse:
    (assignment, held), newest = _named(request, project), project.protocol
    protocol = protocol_shown(request.POST, project=project, newest=newest)
    sent = read_form(
        request.POST,
        kind=assignment.item.kind,
        size=len(assignment.shown_order),
        criteria=protocol.criterion_keys,
    )
    record = revise_judgment if assignment.current_id else submit_judgment
    record(
        assignment=assignment,
        client_key=sent.client_key,
        answers=sent.answers,
        comment=sent.comment,
        reasons=sent.reasons,
        rewrite=sent.rewrite,
        duration_ms=sent.duration_ms,
        active_ms=sent.active_ms,
        protocol=protocol,
    )
    return _after(request, project, newest, held)


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def skip(request: SignedInRequest, project: Project) -> HttpResponse:
    assignment, held = _named(request, project)
    skip_item(assignment=assignment, reason=_text(request, "reason"))
    return _after(request, project, project.protocol, held)


@project_view(Capability.JUDGE)
@require_POST
@never_cache
def flag(request: SignedInRequest, project: Project) -> HttpResponse:
    """A problem leads on to the next item; after a leaked identity the item stays."""
    assignment, held = _named(request, project)
    kind = request.POST.get("kind", "")
    flag_item(assignment=assignment, kind=kind, note=_text(request, "note"))
    if kind == Flag.Kind.PROBLEM or not request.htmx:  # type: ignore[attr-defined]
        return _after(request, project, project.protocol, held)
    return _stored(request, HttpResponse(status=204))


def _text(request: SignedInRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\0", "")


@project_view(Capability.JUDGE)
@require_POST
def draft(request: SignedInRequest, project: Project) -> HttpResponse:
    (assignment,) = _own(request, project, [request.POST.get("assignment", "")])
    try:
        values = json.loads(request.POST.get("values", ""))
        revision, age = int(request.POST["revision"]), int(request.POST.get("age_ms", "0"))
        since = timedelta(milliseconds=age)
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        raise PrefloopError("This is not a draft of the labeling form.") from error
    save_draft(assignment=assignment, values=values, revision=revision, age=since)
    return HttpResponse(status=204)


@project_view(Capability.JUDGE)
@require_GET
@never_cache
def last(request: SignedInRequest, project: Project) -> HttpResponse:
    assignment = last_answered(project=project, user=request.user)
    if assignment is None:
        raise PrefloopError("There is no answer of the last day that could be changed.")
    return _page(request, _shown(request, project, project.protocol, assignment))


@project_view(Capability.JUDGE)
@require_GET
@never_cache
def again(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    """One's own item of any time, to answer it or to change the answer."""
    (assignment,) = _own(request, project, [str(assignment_id)])
    return _page(request, _shown(request, project, project.protocol, assignment))


@project_view(None)
@require_GET
@never_cache
def guidelines(request: SignedInRequest, project: Project) -> HttpResponse:
    """Fetched by the page when an item comes under a newer version than it shows."""
    judged_by = last_protocol_version(project=project, user=request.user)
    context = {"project": project, "protocol": project.protocol, "judged_by": judged_by}
    return render(request, "annotation/_label_guidelines.html", context)


@project_view(Capability.JUDGE)
@require_POST
def heartbeat(request: SignedInRequest, project: Project) -> HttpResponse:
    """Which of the leases that the page has are still its own."""
    rows = _own(request, project, request.POST.getlist("assignment")[:4])
    return JsonResponse({"live": [row.pk for row in rows if extend_lease(assignment=row)]})


@signed_in
@require_GET
@never_cache
def home_work(request: SignedInRequest) -> HttpResponse:
    return render(request, "annotation/_home_work.html", {"work": work_of(request.user)})
