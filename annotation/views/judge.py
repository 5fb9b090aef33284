"""A project's judges: the list, one judge with its texts and runs, and every call it made."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.forms import show_error
from annotation.judge_forms import LABELS, TakesForm
from annotation.judging.protocol import get_protocol
from annotation.judging.protocols.base import Template
from annotation.models import Judge, JudgeCall, Project
from annotation.selectors import judge_pages
from annotation.services.asked_call import messages_asked
from annotation.services.judge_template import set_project_judge
from core.access import SignedInRequest
from core.errors import PrefloopError

RUNS_SHOWN = 10
CALLS_A_PAGE = 50
DIGITS = 19
TOKENS_SHOWN = 50


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def judges(request: SignedInRequest, project: Project) -> HttpResponse:
    context = {
        "project": project,
        "rows": judge_pages.judge_rows(project),
        "runs": judge_pages.runs_of(project)[:RUNS_SHOWN],
        "has_models": judge_pages.models_on_offer().exists(),
    }
    return render(request, "annotation/judging/judges.html", context)


def load_judge(project: Project, judge_id: int) -> Judge:
    """Drafts too: what they were asked can be read."""
    return get_object_or_404(judge_pages.with_drafts(project), pk=judge_id)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def judge(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    return _page(request, project, load_judge(project, judge_id))


@project_view(Capability.RESEARCH)
@require_POST
def takes(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    found, form = load_judge(project, judge_id), TakesForm(request.POST)
    if form.is_valid():
        try:
            chosen = set_project_judge(
                project=project, judge=found, actor=request.user, **form.cleaned_data
            )
        except PrefloopError as error:
            show_error(form, error)
        else:
            messages.success(request, f"Saved: {chosen.get_takes_display().lower()}.")
            return redirect("annotation:judge", project.pk, found.pk)
    return _page(request, project, found, form=form)


def _page(
    request: SignedInRequest, project: Project, found: Judge, *, form: TakesForm | None = None
) -> HttpResponse:
    others = Judge.objects.filter(project=found.project_id, name=found.name)
    context: dict[str, Any] = {
        "project": project,
        "judge": found,
        "versions": others.order_by("-version"),
        "runs": judge_pages.runs_of(project).filter(judge=found)[:RUNS_SHOWN],
        "calls": JudgeCall.objects.filter(judge=found, run__project=project).exists(),
    }
    if found.origin != Judge.Origin.IMPORTED:
        context |= {
            "protocol": get_protocol(found.protocol),
            "texts": Template.from_json(found.template),
            "settings": settings_in_words(found.settings),
        }
    if found.origin == Judge.Origin.CONFIGURED:
        initial = judge_pages.project_choice(project, found)
        context["form"] = form or TakesForm(initial=initial)
    return render(request, "annotation/judging/judge.html", context, status=422 if form else 200)


def settings_in_words(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Those that say something, by the words of the form."""
    return [
        (LABELS.get(name, name.replace("_", " ").capitalize()), _in_words(value))
        for name, value in settings.items()
        if value not in (None, "")
    ]


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def calls(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    found, outcome = load_judge(project, judge_id), request.GET.get("outcome", "")
    outcome = outcome if outcome in judge_pages.CALL_FILTERS else ""
    before = request.GET.get("before", "")
    rows = judge_pages.calls_of(found, project, outcome)
    if before.isdecimal() and len(before) < DIGITS:
        rows = rows.filter(pk__lt=int(before))
    # One more than is shown tells whether there are older ones: counting millions takes seconds.
    page = list(rows[: CALLS_A_PAGE + 1])
    context = {
        "project": project,
        "judge": found,
        "page": page[:CALLS_A_PAGE],
        "older": page[CALLS_A_PAGE - 1].pk if len(page) > CALLS_A_PAGE else None,
        "is_first": not before,
        "outcome": outcome,
        "outcomes": [(name, words) for name, (words, _) in judge_pages.CALL_FILTERS.items()],
        "query": urlencode({"outcome": outcome}) + "&" if outcome else "",
    }
    return render(request, "annotation/judging/calls.html", context)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def call(request: SignedInRequest, project: Project, judge_id: int, call_id: int) -> HttpResponse:
    """What was asked, and the reply as it came, letter by letter."""
    found = load_judge(project, judge_id)
    rows = JudgeCall.objects.filter(judge=found, run__project=project)
    one = get_object_or_404(
        rows.select_related("judge", "run__project", "run__judge", "run__protocol"), pk=call_id
    )
    context = {
        "project": project,
        "judge": found,
        "call": one,
        "asked": messages_asked(one),
        "verdict": json.dumps(one.verdict, indent=2, ensure_ascii=False),
        "logprobs": logprobs_in_words(one.reply.get("tokens") or []),
    }
    return render(request, "annotation/judging/call.html", context)


def logprobs_in_words(tokens: list[Any]) -> str:
    """A line for each token: what was said, and what else might have been."""
    lines = []
    for token, logprob, top in tokens[:TOKENS_SHOWN]:
        others = ", ".join(
            f"{json.dumps(one, ensure_ascii=False)} {p:.3f}" for one, p in top.items()
        )
        lines.append(f"{json.dumps(token, ensure_ascii=False)} {logprob:.3f}  of  {others}")
    return "\n".join(lines)
