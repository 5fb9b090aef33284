"""The reviewer's page in its three states: an item shown blind, the votes on it, nothing to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from annotation.access import Capability
from annotation.answer_form import show_item
from annotation.models import Assignment, Project
from annotation.services.annotator import annotator_for_user
from annotation.services.review_item import claim_review
from core.access import SignedInRequest
from feedback.selectors.adjudication import (
    first_answer,
    judged_before,
    last_decision,
    show_decision,
    writers_of,
)
from feedback.selectors.review_queue import (
    Filter,
    count_sent_back,
    next_items,
    protocol_for,
    queue_of,
    undecided,
    waiting,
    waiting_on,
)
from feedback.selectors.review_votes import votes_on


def filter_of(request: SignedInRequest) -> Filter:
    given = {name: request.GET.get(name, "")[:40] for name in ("kind", "criterion", "cause")}
    return Filter(**{name: value.replace("\0", "") for name, value in given.items()})


def next_page(request: SignedInRequest, project: Project, said: str = "") -> HttpResponse:
    """Something new if there is; else what was answered blind and left undecided."""
    annotator, only = annotator_for_user(user=request.user), filter_of(request)
    item_ids = next_items(project, annotator, only)
    assignment = claim_review(project=project, user=request.user, item_ids=item_ids)
    if assignment is not None:
        return _blind(request, project, assignment, said)
    left = undecided(project, annotator, only)
    if left is not None:
        return reveal_page(request, project, left, said)
    context = _base(request, project, said)
    context |= {"others_wait": waiting(project).exists(), "nothing_text": _nothing(project)}
    return _page(request, context, context["queue_url"])


def _nothing(project: Project) -> str:
    words = (
        "Where people come to differ, or judges contradict them, items appear here by themselves."
    )
    away = count_sent_back(project)
    if not away:
        return f"No contested item is without a decision. {words}"
    return f"Sent back, and being judged by more people: {away:,}. They come again. {words}"


def _blind(
    request: SignedInRequest, project: Project, assignment: Assignment, said: str
) -> HttpResponse:
    context = _base(request, project, said)
    rows = waiting_on(assignment.item)
    protocol = protocol_for(project, {row.criterion for row in rows})
    context |= {
        # A reviewer decides between what there is; writing something better is labelers' work.
        "item": replace(show_item(assignment, protocol), rewrite=None),
        "assignment": assignment,
        "judged_before": judged_before(assignment),
        "submit_url": _url("adjudication-answer", project, assignment, context["query"]),
    }
    return _page(request, context, context["queue_url"])


def reveal_page(
    request: SignedInRequest, project: Project, assignment: Assignment, said: str = ""
) -> HttpResponse:
    """First without names; `?named=1` with them. A press for names gets the votes alone."""
    rows, blind = waiting_on(assignment.item), first_answer(assignment)
    named = request.GET.get("named") == "1"
    context: dict[str, Any] = {
        "project": project,
        "assignment": assignment,
        "votes": votes_on(assignment, rows, blind, named=named),
        "named": named,
        "writers": writers_of(assignment) if named else [],
    }
    if request.htmx and request.htmx.target == "votes":  # type: ignore[attr-defined]
        return render(request, "feedback/_review_votes.html", context)
    context |= _base(request, project, said)
    context |= {
        "item": show_decision(assignment, rows, blind),
        "submit_url": _url("decide", project, assignment, context["query"]),
        "may_set_gold": Capability.RESEARCH in project.may and not assignment.item.is_gold,
    }
    return _page(request, context, _url("reveal", project, assignment, context["query"]))


def _base(request: SignedInRequest, project: Project, said: str) -> dict[str, Any]:
    only = filter_of(request)
    query = f"?{urlencode(only.chosen)}" if only.chosen else ""
    protocol = project.protocol
    return {
        "project": project,
        "only": only,
        "query": query,
        "said": said,
        "queue": queue_of(project, only),
        "queue_url": reverse("feedback:adjudication", args=[project.pk]) + query,
        "last": last_decision(project, request.user),
        "criteria": protocol.criteria,
        "guidelines": protocol.guidelines,
        "actions_template": "feedback/_adjudicate_actions.html",
    }


def _url(name: str, project: Project, assignment: Assignment, query: str) -> str:
    return reverse(f"feedback:{name}", args=[project.pk, assignment.pk]) + query


def _page(request: SignedInRequest, context: dict[str, Any], url: str) -> HttpResponse:
    """The same partial serves the page and the swap; a swap moves the address along."""
    if not request.htmx:  # type: ignore[attr-defined]
        return render(request, "feedback/adjudication.html", context)
    response = render(request, "feedback/_adjudicate.html", context)
    response["HX-Push-Url"] = url
    return response
