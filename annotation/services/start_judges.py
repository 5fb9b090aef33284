"""Judges that start by themselves: where a project asked for it, and within its budget."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from annotation.models import JudgeRun, ProjectJudge
from annotation.services.judge_budget import bound_by_runs
from annotation.services.judge_run import estimate_run, queue_run
from core.errors import Conflict, PrefloopError
from core.models import Job

logger = logging.getLogger(__name__)

# A look through a project of a million items takes seconds.
LOOK_EVERY = timedelta(minutes=10)


def start_due_judges() -> list[JudgeRun]:
    """A run for each that has new items to take; its cap is what the estimate says that it needs,
    or what is left of the project's budget."""
    runs = []
    for choice in _due().select_related("project", "judge__model__provider"):
        # Another sweep may have been faster.
        if not _due().filter(pk=choice.pk).update(looked_at=timezone.now()):
            continue
        try:
            run = _start(choice)
        except PrefloopError as error:
            logger.warning("%s starts no run by itself: %s", choice.judge, error)
        else:
            runs += [run] if run is not None else []
    return runs


def _due() -> QuerySet[ProjectJudge]:
    open_projects = Q(project__archived_at=None, project__judge_budget__isnull=False)
    is_time = Q(looked_at=None) | Q(looked_at__lte=timezone.now() - LOOK_EVERY)
    choices = ProjectJudge.objects.filter(open_projects, is_time, by_itself=True)
    return choices.exclude(takes=ProjectJudge.Takes.NONE)


@transaction.atomic
def _start(choice: ProjectJudge) -> JudgeRun | None:
    """None while a run is under way, where the last one stopped, and when nothing is new."""
    project, judge = choice.project, choice.judge
    if _has_unfinished(choice):
        return None
    asked: dict[str, Any] = {"project": project, "judge": judge}
    asked["selection"] = {"takes": choice.takes}
    told = estimate_run(**asked)
    left = (project.judge_budget or Decimal(0)) - bound_by_runs(project)
    cap = max(Decimal(0), min(told.suggested_cap, left))
    if not told.items or (told.cost and not cap):
        return None
    run = queue_run(**asked, created_by=None, cap=cap)
    # It has locked the project by now, so whoever was faster is seen.
    if _has_unfinished(choice, but=run):
        raise Conflict(f"Somebody has started {judge} meanwhile.")
    return run


def _has_unfinished(choice: ProjectJudge, *, but: JudgeRun | None = None) -> bool:
    """A run that is under way, or a last one that failed or was stopped."""
    runs = JudgeRun.objects.filter(
        project=choice.project, judge=choice.judge, purpose=JudgeRun.Purpose.JUDGE
    ).exclude(pk=but.pk if but else 0)
    newest = runs.order_by("-pk").values_list("job__state", flat=True).first()
    is_under_way = runs.exclude(job__state__in=Job.ENDED).exists()
    return is_under_way or newest in (Job.State.FAILED, Job.State.CANCELLED)
