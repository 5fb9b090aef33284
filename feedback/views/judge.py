"""How far judges can be believed: a card each, a board of all, and the gate they must pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.access import Capability, project_view
from annotation.models import Judge, Kind, Project
from core.access import SignedInRequest
from core.csv_reply import Cell, csv_reply
from core.errors import PrefloopError
from feedback.forms import AskMoreForm, JudgeGateForm
from feedback.judge_board import board_plot, board_rows, order_of, tables
from feedback.judge_gate import GateValues, rule_in_words
from feedback.judge_words import figure_rows, section_plots, section_rows, unbroken, verdict
from feedback.selectors.agreement import criterion_names, unfinished_job
from feedback.selectors.judge_rows import judges_of
from feedback.selectors.judges import JudgeRow, judge_row, judge_rows
from feedback.selectors.opposed_items import opposed_items
from feedback.services.ask_more_people import AT_ONCE, ask_more_people
from feedback.services.judge_gate import current_gate, revise_gate
from feedback.services.measure_judges import request_judges

COLUMNS = ("judge", "version", "gate", "kind", "criterion", "figure", "value", "low", "high",
           "units", "clusters", "method", "reason")  # fmt: skip
HISTORY = 20
# Of a number that a column can hold.
MOST_DIGITS = 19


def _judge(project: Project, judge_id: int) -> Judge:
    found = next((one for one in judges_of(project) if one.pk == judge_id), None)
    if found is None:
        raise Http404
    return found


def _part_or_page(
    request: SignedInRequest, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Inside another page it is a part of it."""
    part = "_" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"feedback/{part}{name}.html", context, status=status)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def card(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    judge = _judge(project, judge_id)
    row = judge_row(project, judge)
    names = criterion_names(project)
    context = {
        "project": project,
        "judge": judge,
        "row": row,
        "verdict": unbroken(verdict(row)),
        "sections": [_section(one, names) for one in _sections(row)],
        "whole": [one for one in figure_rows(row.report.figures) if not one.section]
        if row.report
        else [],
        "cost": row.report.figures["cost"] if row.report else None,
        "rule": rule_in_words(GateValues.of(current_gate(project))),
        "history": project.judge_standings.filter(judge=judge).select_related("gate")[:HISTORY],
        "job": unfinished_job(project, "measure_judges"),
        "may_manage": Capability.MANAGE in project.may,
        "ask_more_url": reverse("feedback:judge-ask-more-preview", args=[project.pk, judge.pk]),
    }
    return _part_or_page(request, "judge_card", context)


def _sections(row: JudgeRow) -> list[dict[str, Any]]:
    return list(row.report.figures["sections"]) if row.report else []


def _section(section: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    rows = list(section_rows(section))
    return {
        **section,
        "kind": Kind(section["kind"]).label,
        "criterion": names.get(section["criterion"], section["criterion"]),
        "known": [one for one in rows if one.figure["value"] is not None],
        "unknown": [one for one in rows if one.figure["value"] is None],
        "plots": section_plots(section),
        "slices": [
            (one["name"], one["items"], list(section_rows({**section, "figures": one["figures"]})))
            for one in section["slices"]
        ],
    }


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def ask_more_preview(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    """How many items there are; counting reads all votes, so it is no part of the card."""
    judge = _judge(project, judge_id)
    opposed = opposed_items(project, judge)
    context = {
        "project": project,
        "judge": judge,
        "opposed": opposed,
        "now": min(len(opposed.items), AT_ONCE),
        "form": AskMoreForm(),
    }
    return _part_or_page(request, "judge_ask_more", context)


@project_view(Capability.RESEARCH)
@require_POST
def ask_more(request: SignedInRequest, project: Project, judge_id: int) -> HttpResponse:
    form = AskMoreForm(request.POST)
    if not form.is_valid():
        raise PrefloopError("Ask 1 to 5 more people about each item.")
    more = form.cleaned_data["more"]
    judge = _judge(project, judge_id)
    asked = ask_more_people(project=project, judge=judge, actor=request.user, more=more)
    messages.success(
        request,
        f"{asked} item{'s' if asked > 1 else ''} went back to the queue, for {more} more "
        f"{'people' if more > 1 else 'person'} each.",
    )
    return redirect("feedback:judge-card", project.pk, judge_id)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def board(request: SignedInRequest, project: Project) -> HttpResponse:
    order = order_of(request.GET.get("sort"))
    rows = board_rows(judge_rows(project), order)
    context = {
        "project": project,
        "rows": rows,
        "tables": tables(rows, order),
        "plot": board_plot(rows),
        "rule": rule_in_words(GateValues.of(current_gate(project))),
        "job": unfinished_job(project, "measure_judges"),
        "may_manage": Capability.MANAGE in project.may,
    }
    return _part_or_page(request, "judge_board", context)


@project_view(Capability.RESEARCH)
@require_POST
def measure(request: SignedInRequest, project: Project) -> HttpResponse:
    if request_judges(project=project, by=request.user) is None:
        raise PrefloopError("There is no judge here to measure. Make one, or import verdicts.")
    judge = request.POST.get("judge", "")
    if judge.isdecimal() and len(judge) < MOST_DIGITS:
        return redirect("feedback:judge-card", project.pk, int(judge))
    return redirect("feedback:judge-board", project.pk)


@project_view(Capability.RESEARCH)
@require_GET
def board_csv(request: SignedInRequest, project: Project) -> HttpResponse:
    return csv_reply(f"judges-{project.pk}.csv", COLUMNS, _cells(project))


def _cells(project: Project) -> Iterator[list[Cell]]:
    """One line a judge and figure."""
    for row in judge_rows(project):
        if row.report is None:
            continue
        about: list[Cell] = [row.judge.name, row.judge.version, "open" if row.is_open else "closed"]
        for section in row.report.figures["sections"]:
            for one in section_rows(section):
                yield [*about, section["kind"], section["criterion"], *_numbers(one)]
        for one in figure_rows(row.report.figures):
            if not one.section:
                yield [*about, "", "", *_numbers(one)]
        cost = row.report.figures["cost"]
        for key in ("price", "seconds"):
            yield [*about, "", "", key, cost[key], None, None, cost["judged"], None, "mean",
                   cost[f"{key}_reason"]]  # fmt: skip


def _numbers(one: Any) -> list[Cell]:
    figure = one.figure
    return [one.key, figure["value"], figure["low"], figure["high"], figure["units"],
            figure["clusters"], figure["method"], figure["reason"]]  # fmt: skip


@project_view(Capability.RESEARCH)
@require_GET
def board_json(request: SignedInRequest, project: Project) -> HttpResponse:
    judges = [
        {
            "judge": row.judge.pk,
            "name": row.judge.name,
            "version": row.judge.version,
            "verdict": verdict(row),
            "gate": "open" if row.is_open else "closed",
            "reasons": row.standing.reasons if row.standing else [],
            "measured_at": row.report.created_at.isoformat() if row.report else None,
            "is_out_of_date": row.is_behind,
            "figures": row.report.figures if row.report else None,
        }
        for row in judge_rows(project)
    ]
    reply = JsonResponse({"project": project.pk, "judges": judges})
    reply["Content-Disposition"] = f'attachment; filename="judges-{project.pk}.json"'
    return reply


@project_view(Capability.MANAGE)
@require_http_methods(["GET", "POST"])
def gate(request: SignedInRequest, project: Project) -> HttpResponse:
    current = current_gate(project)
    values = vars(GateValues.of(current))
    initial = {**values, "from_version": current.version}
    form = JudgeGateForm(request.POST or None, initial=initial)
    context = {
        "project": project,
        "current": current,
        "form": form,
        "rule": rule_in_words(GateValues.of(current)),
        "versions": project.judge_gates.select_related("created_by")[:HISTORY],
        "rows": judge_rows(project),
    }
    if request.method == "POST":
        if not form.is_valid():
            return render(request, "feedback/judge_gate.html", context, status=422)
        saved = revise_gate(
            project=project, actor=request.user, values=form.values(),
            from_version=form.cleaned_data["from_version"],
        )  # fmt: skip
        is_new = saved.version != current.version
        words = f"Saved as version {saved.version}: every judge stands by it from now on."
        messages.success(request, words if is_new else "Nothing was changed.")
        return redirect("feedback:judge-gate", project.pk)
    return render(request, "feedback/judge_gate.html", context)
