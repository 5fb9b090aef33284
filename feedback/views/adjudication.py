"""What waits for a reviewer, one by one: seen blind and answered, then settled with all in view."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.answer_form import read_form
from annotation.answers import AnswerValue, checked, to_canonical
from annotation.models import Assignment, Item, Project
from annotation.services.annotator import annotator_for_user
from annotation.services.claim_item import extend_lease
from annotation.services.review_item import own_reviews, put_off_review
from annotation.services.submit_judgment import submit_judgment
from core.access import SignedInRequest
from core.errors import PrefloopError
from feedback.selectors.adjudication import first_answer
from feedback.selectors.review_queue import protocol_for, waiting_on
from feedback.selectors.review_votes import seen_judgments
from feedback.services.adjudicate import Grounds, decide_item, send_back, withdraw
from feedback.views.adjudication_page import next_page, reveal_page

MOST_MORE = 9


def _own(request: SignedInRequest, project: Project, assignment_id: int) -> Assignment:
    """What one reviewer answered blind is no other's to see or to settle."""
    own = own_reviews(annotator_for_user(user=request.user))
    found = own.filter(pk=assignment_id, item__project=project).first()
    if found is None:
        raise Http404
    return found


def _to(request: SignedInRequest, name: str, *args: int) -> HttpResponse:
    """A plain form goes where a swap's reply already is; the filter goes along."""
    query = request.META["QUERY_STRING"]
    return redirect(reverse(f"feedback:{name}", args=args) + (f"?{query}" if query else ""))


def _on(request: SignedInRequest, project: Project, said: str) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return next_page(request, project, said)
    return _to(request, "adjudication", project.pk)


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def adjudication(request: SignedInRequest, project: Project) -> HttpResponse:
    return next_page(request, project)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def answer(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    """The blind answer. It is given once: what comes after the others were seen is not blind."""
    assignment = _own(request, project, assignment_id)
    if assignment.current_id is None:
        rows = waiting_on(assignment.item)
        protocol = protocol_for(project, {row.criterion for row in rows})
        sent = read_form(
            request.POST,
            kind=assignment.item.kind,
            size=len(assignment.shown_order),
            criteria=protocol.criterion_keys,
        )
        submit_judgment(
            assignment=assignment,
            client_key=sent.client_key,
            answers=sent.answers,
            comment=sent.comment,
            reasons=sent.reasons,
            duration_ms=sent.duration_ms,
            active_ms=sent.active_ms,
            protocol=protocol,
        )
    if request.htmx:  # type: ignore[attr-defined]
        return reveal_page(request, project, _own(request, project, assignment_id))
    return _to(request, "reveal", project.pk, assignment_id)


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def reveal(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    """The reviewer has answered: now the others' answers are shown beside theirs."""
    assignment = _own(request, project, assignment_id)
    if assignment.current_id is None or not waiting_on(assignment.item):
        return _on(request, project, "")
    return reveal_page(request, project, assignment)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def later(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    put_off_review(assignment=_own(request, project, assignment_id))
    return _on(request, project, "Put off: it comes again at the end.")


@project_view(Capability.ADJUDICATE)
@require_POST
def heartbeat(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    extend_lease(assignment=_own(request, project, assignment_id))
    return HttpResponse(status=204)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def decide(request: SignedInRequest, project: Project, assignment_id: int) -> HttpResponse:
    assignment = _own(request, project, assignment_id)
    if assignment.current_id is None:
        raise PrefloopError("Answer this item first, before you see what others answered.")
    item, seen, why = assignment.item, _seen(request), request.POST.get("why", "")
    grounds = _grounds(request, assignment, list(seen))
    if why == "more":
        more = _more(request)
        send_back(item=item, adjudicator=request.user, seen=seen, more=more, grounds=grounds)
        return _on(request, project, f"Sent back: {more} more will judge it, then it comes again.")
    values = {} if why == "exclude" else _values(request, assignment, list(seen))
    as_gold = bool(request.POST.get("gold")) and Capability.RESEARCH in project.may
    decide_item(
        item=item, adjudicator=request.user, values=values, seen=seen,
        exclude=why == "exclude", as_gold=as_gold, grounds=grounds,
    )  # fmt: skip
    return _on(request, project, "Decided." if values else "Excluded.")


def _seen(request: SignedInRequest) -> dict[str, int]:
    """By criterion the preference that lay before the reviewer."""
    prefix = "seen-"
    given = {
        name.removeprefix(prefix): request.POST.get(name, "")
        for name in request.POST
        if name.startswith(prefix)
    }
    if not given or not all(value.isdecimal() and len(value) < 19 for value in given.values()):
        raise PrefloopError("The form came without what it decides. Reload the page.")
    return {criterion: int(value) for criterion, value in given.items()}


def _values(
    request: SignedInRequest, assignment: Assignment, criteria: list[str]
) -> dict[str, AnswerValue]:
    kind, order = assignment.item.kind, assignment.shown_order
    sent = read_form(request.POST, kind=kind, size=len(order), criteria=criteria)
    return {
        key: to_canonical(checked(kind, len(order), value), order)
        for key, value in sent.answers.items()
    }


def _grounds(request: SignedInRequest, assignment: Assignment, criteria: list[str]) -> Grounds:
    return Grounds(
        note=request.POST.get("note", "")[:5000].replace("\0", ""),
        blind=first_answer(assignment),
        seen_judgments=seen_judgments(request.POST.get("votes", ""), assignment, criteria),
        named="named" in request.POST,
    )


def _more(request: SignedInRequest) -> int:
    given = request.POST.get("more", "").strip() or "1"
    if not given.isdecimal() or not 1 <= int(given[:3]) <= MOST_MORE:
        raise PrefloopError(f"Between 1 and {MOST_MORE} more people can be asked at a time.")
    return int(given)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def undo(request: SignedInRequest, project: Project, item_id: int) -> HttpResponse:
    """What was decided is taken back, and the item lies before the reviewer again."""
    item = Item.objects.filter(project=project, pk=item_id).select_related("project").first()
    if item is None:
        raise Http404
    withdraw(item=item, adjudicator=request.user)
    own = own_reviews(annotator_for_user(user=request.user)).filter(item=item)
    assignment = own.exclude(current=None).first()
    if assignment is None or not waiting_on(item):
        return _on(request, project, "Taken back.")
    if request.htmx:  # type: ignore[attr-defined]
        return reveal_page(request, project, assignment, "Taken back. Decide again.")
    return _to(request, "reveal", project.pk, assignment.pk)
