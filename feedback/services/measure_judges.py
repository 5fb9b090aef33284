"""Measures judges, keeps their cards, and says after each whether its gate is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.models import Assignment, Judge, Project, Protocol
from core import jobs
from core.models import Job, User
from feedback.judge_records import cost_of, record, section_of
from feedback.models import JudgeReport
from feedback.progress import ShowsProgress
from feedback.selectors.agreement import unfinished_job
from feedback.selectors.judge_card import evidence_of, parts_of
from feedback.selectors.judge_rows import costs_of, judges_of, outcomes_of
from feedback.services.judge_gate import decide_standing
from feedback.services.policy import current_policy
from feedback.statistics.arrays import Integers
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.judge_card import judge_card
from feedback.statistics.rates import rate

RESAMPLES = 1_000
SEED = 0


def measure_judges(
    *,
    project: Project,
    judges: Sequence[Judge] | None = None,
    context: ShowsProgress | None = None,
) -> list[JudgeReport]:
    """A new report for each judge that was asked (of all, or of these), and its standing."""
    # What is judged while this measures must make it out of date.
    began = timezone.now()
    chosen = judges_of(project) if judges is None else list(judges)
    sections: dict[int, list[dict[str, Any]]] = {judge.pk: [] for judge in chosen}
    for part in parts_of(project, current_policy(project)) if chosen else ():
        for done, judge in enumerate(chosen):
            if context is not None:
                message = f"Measuring {judge}: {part.kind}, {part.criterion}"
                context.progress(done=done, total=len(chosen), message=message)
            evidence = evidence_of(part, project, judge)
            if evidence is not None:
                card = judge_card(evidence, resamples=RESAMPLES, seed=SEED)
                section = section_of(
                    card, criterion=part.criterion, is_imported=_is_imported(judge)
                )
                sections[judge.pk].append(section)
    kept = (_keep(project, judge, sections[judge.pk], began) for judge in chosen)
    return [report for report in kept if report is not None]


def _is_imported(judge: Judge) -> bool:
    return judge.origin == Judge.Origin.IMPORTED


@transaction.atomic
def _keep(
    project: Project, judge: Judge, sections: list[dict[str, Any]], began: datetime
) -> JudgeReport | None:
    is_imported = _is_imported(judge)
    sections.sort(key=lambda one: (-one["shared"], -one["items"]))
    prompt, unread, failed = outcomes_of(project, judge)
    if not sections and not len(prompt):
        return None
    replies = {
        "parse_errors": _share(unread[failed == 0], prompt[failed == 0], "unparsable"),
        "failures": _share(failed, prompt, "failed"),
    }
    figures = {
        "judge": str(judge),
        "resamples": RESAMPLES,
        "seed": SEED,
        "sections": sections,
        "guidelines": _guidelines(project, judge),
        "replies": {key: record(key, one, is_imported=is_imported) for key, one in replies.items()},
        "cost": cost_of(costs_of(project, judge), is_imported=is_imported),
    }
    report = JudgeReport.objects.create(
        project=project,
        judge=judge,
        figures=figures,
        verdicts=sum(one["items"] for one in sections),
        judgments=sum(one["compared"] for one in sections),
        created_at=began,
    )
    decide_standing(report=report)
    return report


def _guidelines(project: Project, judge: Judge) -> list[int]:
    """The versions of the project's protocol that its answers were given by, oldest first."""
    given = Protocol.objects.filter(
        judgments__assignment__annotator__judge=judge,
        judgments__assignment__item__project=project,
        judgments__assignment__current=F("judgments__pk"),
    )
    return list(given.order_by("version").values_list("version", flat=True).distinct())


def _share(hit: Integers, prompt: Integers, method: str) -> Estimate:
    """Items are asked one by one: that none of them failed tells as much as there are items, where
    votes on one prompt may all be one opinion."""
    cluster = np.unique(prompt, return_inverse=True)[1].astype(np.int64)
    bootstrap = ClusterBootstrap(cluster, RESAMPLES, SEED)
    ones = np.ones(len(prompt))
    return rate(hit.astype(np.float64), ones, bootstrap, method=method, alone=True)


def request_judges(*, project: Project, by: User | None = None) -> Job | None:
    """A job, or the one that is under way; none for a project without judges.

    Without a person who asks, only what was never measured: the sweep looks after the rest.
    """
    judges = judges_of(project)
    if not judges or (by is None and not _is_new(project, judges)):
        return None
    return unfinished_job(project, "measure_judges") or jobs.enqueue(
        "measure_judges", created_by=by, project_id=project.pk
    )


def _is_new(project: Project, judges: Sequence[Judge]) -> bool:
    """Judges have answered, and no card was ever made."""
    answered = Assignment.objects.filter(annotator__judge__in=judges, item__project=project)
    return answered.exists() and not project.judge_reports.exists()
