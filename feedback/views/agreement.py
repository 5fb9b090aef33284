"""How well people agree, and judges with people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Kind, Project
from core import jobs
from core.access import SignedInRequest
from core.csv_reply import Cell, csv_reply
from feedback.models import AgreementReport
from feedback.selectors.agreement import criterion_names, newest_reports, unfinished_job
from feedback.selectors.preferences import stale_of
from feedback.verdicts import LEVELS, figure_rows, judge_verdict, people_verdict, plots

COLUMNS = (
    "kind", "criterion", "between", "figure", "value", "low", "high", "level", "items", "prompts",
    "method", "parameters", "resamples", "seed", "reason",
)  # fmt: skip
STATS = ("percent_by_unit", "percent_by_unit_no_ties", "alpha_ordinal", "alpha_nominal", "ac1")


def _section(report: AgreementReport, names: dict[str, str]) -> dict[str, Any]:
    figures = report.figures
    rows = list(figure_rows(figures))
    return {
        "report": report,
        "kind": Kind(report.kind).label,
        "criterion": names.get(report.criterion, report.criterion),
        "people": figures["people"],
        "verdict": people_verdict(figures),
        "judges": [judge_verdict(judge) for judge in figures["judges"]],
        "stats": [
            row for row in rows
            if row.between == "People"
            and row.key in STATS
        ],
        "plots": plots(figures),
        "rows": rows,
    }  # fmt: skip


@project_view(Capability.RESEARCH)
@require_GET
def agreement(request: SignedInRequest, project: Project) -> HttpResponse:
    names = criterion_names(project)
    reports = newest_reports(project)
    context = {
        "project": project,
        "sections": [_section(report, names) for report in reports],
        "measured_at": min((report.created_at for report in reports), default=None),
        "judgments": sum(report.judgments for report in reports),
        "job": unfinished_job(project, "measure_agreement"),
        "is_behind": stale_of(project).exists(),
        "levels": LEVELS,
    }
    return render(request, "feedback/agreement.html", context)


@project_view(Capability.RESEARCH)
@require_POST
def measure(request: SignedInRequest, project: Project) -> HttpResponse:
    if unfinished_job(project, "measure_agreement") is None:
        jobs.enqueue("measure_agreement", created_by=request.user, project_id=project.pk)
    return redirect("feedback:agreement", project.pk)


@project_view(Capability.RESEARCH)
@require_GET
def agreement_csv(request: SignedInRequest, project: Project) -> HttpResponse:
    return csv_reply(f"agreement-{project.pk}.csv", COLUMNS, _cells(project))


def _cells(project: Project) -> Iterator[list[Cell]]:
    for report in newest_reports(project):
        for row in figure_rows(report.figures):
            one = row.estimate
            parameters = "; ".join(f"{name}={value}" for name, value in one["parameters"].items())
            yield [
                report.kind, report.criterion, row.between, row.key, one["value"], one["low"],
                one["high"], one["level"], one["units"], one["clusters"], one["method"], parameters,
                one["resamples"], one["seed"], one["reason"],
            ]  # fmt: skip


@project_view(Capability.RESEARCH)
@require_GET
def agreement_json(request: SignedInRequest, project: Project) -> HttpResponse:
    reports = [
        {
            "kind": report.kind,
            "criterion": report.criterion,
            "measured_at": report.created_at.isoformat(),
            "judgments": report.judgments,
            "figures": report.figures,
        }
        for report in newest_reports(project)
    ]
    reply = JsonResponse({"project": project.pk, "reports": reports})
    reply["Content-Disposition"] = f'attachment; filename="agreement-{project.pk}.json"'
    return reply
