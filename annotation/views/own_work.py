"""The labeler's own page: progress, pace, and all that they have answered."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.access import Capability, project_view
from annotation.models import Kind, Project
from annotation.selectors.own_work import (
    DAYS,
    PAGE,
    Day,
    gold_agreement,
    own_answers,
    pace_of,
    page_of,
)
from annotation.selectors.project import projects_where
from core.access import SignedInRequest, signed_in
from core.plots import Plot, Series, line_chart


@project_view(None)
@require_GET
@never_cache
def own_work(request: SignedInRequest, project: Project) -> HttpResponse:
    context = _context(request, project)
    context["project"] = project
    context["may_change"] = {project.pk: Capability.JUDGE in project.may}
    context["gold"] = gold_agreement(request.user, project)
    return render(request, "annotation/own_work.html", context)


@signed_in
@require_GET
@never_cache
def own_work_everywhere(request: SignedInRequest) -> HttpResponse:
    projects = projects_where(request.user, Capability.JUDGE).order_by("name")
    number = request.GET.get("project", "")
    chosen = projects.filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None
    context = _context(request, chosen)
    shown = list(projects[:200])
    context["projects"] = shown
    context["chosen_project"] = chosen
    context["may_change"] = dict.fromkeys((one.pk for one in projects), True)
    return render(request, "annotation/own_work.html", context)


def _context(request: SignedInRequest, project: Project | None) -> dict[str, Any]:
    kind = request.GET.get("kind", "")
    kind = kind if kind in Kind.values else ""
    number = request.GET.get("before", "")
    all_kinds = own_answers(request.user, project)
    known = all_kinds.filter(pk=number) if number.isdecimal() and len(number) < 19 else None
    before = known.first() if known is not None else None
    rows = page_of(own_answers(request.user, project, kind=kind), before)
    pace = pace_of(all_kinds)
    named = project.pk if project and "project" in request.GET else ""
    chosen = {"project": named, "kind": kind}
    return {
        "pace": pace,
        "plots": _plots(pace.days) if len(pace.days) > 1 else [],
        "days": DAYS,
        "answers": rows[:PAGE],
        "older": rows[PAGE - 1].assignment.pk if len(rows) > PAGE else None,
        "is_first": before is None,
        "kind": kind,
        "kinds": Kind.choices,
        "query": urlencode({name: value for name, value in chosen.items() if value}),
    }


def _plots(days: list[Day]) -> list[tuple[str, Plot]]:
    """Days without an answer are zeros of one plot and gaps of the other."""
    today = timezone.now().date()
    found = {_ago(today, one.date): one for one in days}
    ago = list(range(min(found), 1))
    answers = [float(found[x].answers) if x in found else 0.0 for x in ago]
    seconds = [found[x].seconds if x in found else None for x in ago]
    return [
        (title, _chart(title, name, ago, values))
        for title, name, values in (
            ("Answers a day", "answers", answers),
            ("Seconds an answer, median of the day", "seconds", seconds),
        )
    ]


def _ago(today: date, day: date) -> int:
    return (day - today).days


def _chart(title: str, name: str, x: list[int], y: list[Any]) -> Plot:
    series = Series(name, [float(one) for one in x], y)
    return line_chart([series], title=title, x_label="days from today", y_label=name, include=(0,))
