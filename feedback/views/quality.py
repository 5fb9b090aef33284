"""How well the labelers of a project work: all of them in a table, and each on a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.access import Capability, project_view
from annotation.models import Project
from core.access import SignedInRequest
from core.csv_reply import Cell, csv_reply
from core.errors import PrefloopError
from feedback.labeler_cells import SHOWN, form_of, reference_of, shown_of, table_rows
from feedback.labeler_verdicts import LIMITS, interval, side_words, verdict
from feedback.models import Policy
from feedback.quality_records import NAMES
from feedback.selectors.agreement import criterion_names, unfinished_job
from feedback.selectors.labeler import labeler_detail
from feedback.selectors.labelers import Labeler, Labelers, labelers_of
from feedback.services.measure_quality import request_quality
from feedback.services.policy import current_policy
from feedback.services.weigh_annotator import weight_in
from feedback.statistics.intervals import MINIMUM_ANSWERS

PER_PAGE = 100
IN_FRAGMENT = 12
COLUMNS = ("annotator", "name", "weight", "answers", "skipped", "needs_a_look", "figure", "value",
           "low", "high", "n", "clusters", "chance")  # fmt: skip


def _sees_names(project: Project) -> bool:
    """A pseudonym stands for whoever may not manage people."""
    return Capability.MANAGE in project.may


def _sentence(labelers: Labelers) -> str:
    troubled = [(one.annotator.pseudonym, one.concerns) for one in labelers.troubled]
    return verdict(len(labelers.rows), labelers.unknown, troubled)


def _table(project: Project, labelers: Labelers, rows: list[Labeler]) -> dict[str, Any]:
    return {
        "project": project,
        "labelers": labelers,
        "verdict": _sentence(labelers),
        "about_sides": side_words(labelers.group),
        "columns": [(SHOWN[key], NAMES[key]) for key in shown_of(labelers)],
        "rows": table_rows(labelers, rows),
        "sees_names": _sees_names(project),
        "minimum": MINIMUM_ANSWERS,
    }


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def quality(request: SignedInRequest, project: Project) -> HttpResponse:
    job = unfinished_job(project, "measure_quality")
    context: dict[str, Any] = {"project": project, "job": job, "limits": LIMITS}
    labelers = labelers_of(project, current_policy(project))
    if labelers is not None:
        page = Paginator(labelers.rows, PER_PAGE).get_page(request.GET.get("page"))
        context |= {**_table(project, labelers, list(page)), "page": page}
    return render(request, "feedback/quality.html", context)


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def quality_table(request: SignedInRequest, project: Project) -> HttpResponse:
    """A part of another app's page: those who need a look first, and a way to all."""
    context: dict[str, Any] = {"project": project, "is_fragment": True}
    labelers = labelers_of(project, current_policy(project))
    if labelers is not None:
        context |= _table(project, labelers, labelers.rows[:IN_FRAGMENT])
    return render(request, "feedback/_quality_table.html", context)


@project_view(Capability.ADJUDICATE)
@require_POST
def measure(request: SignedInRequest, project: Project) -> HttpResponse:
    """For large projects; small ones are measured whenever they are looked at."""
    request_quality(project=project, by=request.user)
    return redirect("feedback:quality", project.pk)


@project_view(Capability.RESEARCH)
@require_GET
@never_cache
def quality_csv(request: SignedInRequest, project: Project) -> HttpResponse:
    labelers = labelers_of(project, current_policy(project))
    if labelers is None:
        raise PrefloopError("The labelers are not measured yet. Measure them first.")
    rows = _cells(labelers.rows, _sees_names(project))
    return csv_reply(f"labelers-{project.pk}.csv", COLUMNS, rows)


def _cells(rows: list[Labeler], sees_names: bool) -> Iterator[list[Cell]]:
    """One line a labeler and figure."""
    for one in rows:
        about: list[Cell] = [
            str(one.annotator.uuid), one.name if sees_names else "", one.weight,
            one.record["answers"], one.record["skipped"],
            "; ".join(concern.brief for concern in one.concerns),
        ]  # fmt: skip
        for key, figure in one.figures.items():
            numbers = (figure["value"], figure["low"], figure["high"], figure["answers"],
                       figure["clusters"], figure.get("chance"))  # fmt: skip
            yield [*about, key, *numbers]


@project_view(Capability.ADJUDICATE)
@require_GET
@never_cache
def labeler(request: SignedInRequest, project: Project, annotator_id: int) -> HttpResponse:
    policy = current_policy(project)
    labelers = labelers_of(project, policy)
    found = [one for one in labelers.rows if one.annotator.pk == annotator_id] if labelers else []
    if labelers is None or not found:
        raise Http404
    one = found[0]
    context = {
        "project": project,
        "labelers": labelers,
        "labeler": one,
        "sees_names": _sees_names(project),
        "figures": [_figure(key, figure) for key, figure in one.figures.items()],
        "detail": labeler_detail(project, policy, annotator_id, criterion_names(project)),
        "minimum": MINIMUM_ANSWERS,
        "policy": policy,
        "before": _weight_before(project, policy, one),
    }
    return render(request, "feedback/labeler.html", context)


def _weight_before(project: Project, policy: Policy, one: Labeler) -> float | None:
    """What the way back leads to; nothing when the newest version did not weigh this labeler."""
    last = project.policies.filter(version__lt=policy.version).order_by("-version").first()
    if last is None:
        return None
    weight = weight_in(last, one.annotator)
    return None if weight == one.weight else weight


def _figure(key: str, figure: dict[str, Any]) -> dict[str, Any]:
    form = form_of(key)
    reference = reference_of(key, figure)
    return {
        "name": NAMES[key],
        "value": form(figure["value"]),
        "interval": interval(figure, form),
        "known": figure["value"] is not None,
        "answers": figure["answers"],
        "clusters": figure["clusters"],
        "reference": "" if reference is None else form(reference),
    }
