"""Contested items one by one: seen blind, answered, then settled with all answers in view."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.answer_form import read_form
from annotation.answers import AnswerValue, checked, to_canonical
from annotation.models import Project
from core.access import SignedInRequest
from feedback.models import Preference
from feedback.selectors.adjudication import (
    named_answers,
    next_contested,
    order_for,
    show_contested,
)
from feedback.selectors.preferences import contested
from feedback.services.adjudicate import adjudicate


def _load(project: Project, preference_id: int) -> Preference:
    rows = Preference.objects.select_related("item__prompt", "item__project")
    return get_object_or_404(rows, pk=preference_id, item__project=project)


def _sent(request: SignedInRequest, preference: Preference, size: int) -> AnswerValue:
    """The answer in the order shown."""
    kind, criterion = preference.item.kind, preference.criterion
    sent = read_form(request.POST, kind=kind, size=size, criteria=[criterion])
    return checked(kind, size, sent.answers[criterion])


def _note(request: SignedInRequest) -> str:
    return request.POST.get("comment", "")[:5000].replace("\0", "")


def _page(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    """The same partial serves the page and the swap."""
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "feedback/_adjudicate.html", context)
    protocol = context["project"].protocol
    context |= {"criteria": protocol.criteria, "guidelines": protocol.guidelines}
    return render(request, "feedback/adjudication.html", context)


def _base(project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "project_url": reverse("annotation:project", args=[project.pk]),
        "home_url": reverse("core:home"),
        "waiting": contested(project).count(),
        "actions_template": "feedback/_adjudicate_actions.html",
    }


def _blind(
    request: SignedInRequest,
    project: Project,
    *,
    after: Preference | None = None,
    said: str = "",
) -> HttpResponse:
    preference = next_contested(project, after=after)
    context = _base(project) | {"said": said}
    if preference is not None:
        order = order_for(request.user, preference)
        context |= {
            "preference": preference,
            "item": show_contested(preference, order),
            "submit_url": reverse("feedback:reveal", args=[project.pk, preference.pk]),
        }
    return _page(request, context)


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def adjudication(request: SignedInRequest, project: Project) -> HttpResponse:
    """`?after=` puts one off: the next in the queue comes."""
    number = request.GET.get("after", "")
    after = _load(project, int(number)) if number.isdecimal() and len(number) < 19 else None
    if after is not None and after.agreement is None:
        raise Http404
    return _blind(request, project, after=after)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def reveal(request: SignedInRequest, project: Project, preference_id: int) -> HttpResponse:
    """The reviewer has answered: now the others' answers are shown beside theirs."""
    preference = _load(project, preference_id)
    order = order_for(request.user, preference)
    answer = _sent(request, preference, len(order))
    context = _base(project) | {
        "preference": preference,
        "item": show_contested(preference, order, answer=answer, note=_note(request)),
        "answers": named_answers(preference, order),
        "submit_url": reverse("feedback:decide", args=[project.pk, preference.pk]),
    }
    return _page(request, context)


@project_view(Capability.ADJUDICATE)
@require_POST
@never_cache
def decide(request: SignedInRequest, project: Project, preference_id: int) -> HttpResponse:
    preference = _load(project, preference_id)
    order = order_for(request.user, preference)
    exclude = request.POST.get("why") == "exclude"
    value = None if exclude else to_canonical(_sent(request, preference, len(order)), order)
    adjudicate(
        item=preference.item,
        criterion=preference.criterion,
        adjudicator=request.user,
        value=value,
        exclude=exclude,
        note=_note(request),
        seen=preference.pk,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return _blind(request, project, said="Excluded." if exclude else "Decided.")
    return redirect("feedback:adjudication", project.pk)
