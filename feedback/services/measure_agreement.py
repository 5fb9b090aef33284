"""Measures agreement for each kind and criterion of a project, and keeps the figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from feedback.models import AgreementReport
from feedback.progress import ShowsProgress
from feedback.selectors.votes import Votes, load_votes, names_of, voted_kinds
from feedback.services.policy import current_policy
from feedback.statistics.agreement import agreement_report
from feedback.statistics.ballots import Kind

RESAMPLES = 1_000
SEED = 0


def measure_agreement(
    *, project: Project, context: ShowsProgress | None = None
) -> list[AgreementReport]:
    """One new report for each kind and criterion that has judgments."""
    # What is judged while this measures must make it out of date.
    began = timezone.now()
    parts = voted_kinds(project)
    policy = current_policy(project)
    reports = []
    for done, (kind, criterion) in enumerate(parts):
        if context is not None:
            message = f"Measuring {kind}, {criterion}"
            context.progress(done=done, total=len(parts), message=message)
        votes = load_votes(project, kind, criterion, policy=policy, every_judge=True)
        reports.append(
            AgreementReport(
                project=project,
                kind=kind,
                criterion=criterion,
                figures=_figures(votes, kind),
                judgments=len(votes),
                last_judgment_id=int(votes.judgment.max(initial=0)),
                created_at=began,
            )
        )
    with transaction.atomic():
        return AgreementReport.objects.bulk_create(reports)


def _figures(votes: Votes, kind: str) -> dict[str, Any]:
    """As plain JSON; judges are named, people are only counted."""
    table, annotators = votes.table()
    figures = asdict(
        agreement_report(table, kind=cast("Kind", kind), resamples=RESAMPLES, seed=SEED)
    )
    judges = [int(annotators[judge["rater"]]) for judge in figures["judges"]]
    names = names_of(judges)
    for judge, annotator in zip(figures["judges"], judges, strict=True):
        judge["annotator"], judge["name"] = annotator, names[annotator]
    return figures
