"""The judges of a project with their newest cards and standings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, Max, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from annotation.models import Judge, JudgeRun, Project
from core.models import Job
from feedback.models import JudgeReport, JudgeStanding, Resolution
from feedback.selectors.judge_rows import judges_of

# A card takes longer to compute and to keep than agreement, and moves slowly.
MEASURE_EVERY = timedelta(minutes=10)


def newest_cards(project: Project) -> dict[int, JudgeReport]:
    """By judge."""
    rows = (
        JudgeReport.objects.filter(project=project).order_by("judge_id", "-pk").distinct("judge_id")
    )
    return {row.judge_id: row for row in rows.select_related("project", "judge")}


def newest_standings(project: Project) -> dict[int, JudgeStanding]:
    rows = JudgeStanding.objects.filter(project=project, is_newest=True).select_related("gate")
    return {row.judge_id: row for row in rows}


@dataclass(frozen=True)
class JudgeRow:
    """A judge as the board lists it; without a report it was not measured yet."""

    judge: Judge
    report: JudgeReport | None
    standing: JudgeStanding | None
    is_behind: bool

    @property
    def is_open(self) -> bool:
        return self.standing is not None and self.standing.is_open

    @property
    def section(self) -> dict[str, Any] | None:
        """The kind and criterion that most can be said of: that on most items with people."""
        sections = self.report.figures["sections"] if self.report else []
        return dict(sections[0]) if sections else None


def judge_rows(project: Project) -> list[JudgeRow]:
    cards, standings = newest_cards(project), newest_standings(project)
    changed, ends = last_change(project), _last_ends(project)
    return [
        _row(judge, cards.get(judge.pk), standings.get(judge.pk), changed, ends.get(judge.pk))
        for judge in judges_of(project)
    ]


def judge_row(project: Project, judge: Judge) -> JudgeRow:
    report = JudgeReport.objects.filter(project=project, judge=judge).order_by("-pk").first()
    standing = (
        JudgeStanding.objects.filter(project=project, judge=judge, is_newest=True)
        .select_related("gate")
        .first()
    )
    ended = _last_ends(project).get(judge.pk)
    return _row(judge, report, standing, last_change(project), ended)


def _row(
    judge: Judge,
    report: JudgeReport | None,
    standing: JudgeStanding | None,
    *news: datetime | None,
) -> JudgeRow:
    """`news`: when something to be measured last came."""
    is_behind = report is not None and any(one and one > report.created_at for one in news)
    return JudgeRow(judge, report, standing, is_behind)


def _last_ends(project: Project) -> dict[int, datetime]:
    """When each judge's last run ended; one that has not ended yet is later than any card."""
    ended = Max(Coalesce("job__finished_at", timezone.now()))
    runs = _measuring_runs().filter(project=project).order_by().values("judge_id")
    return dict(runs.annotate(ended=ended).values_list("judge_id", "ended"))


def _measuring_runs() -> QuerySet[JudgeRun]:
    return JudgeRun.objects.exclude(purpose__in=[JudgeRun.Purpose.TRIAL, JudgeRun.Purpose.REWARD])


def last_change(project: Project) -> datetime | None:
    """When a judgment or the policy last changed what counts; None before it was looked at."""
    row = Resolution.objects.filter(project=project, resolved_at__isnull=False).first()
    return row.judged_at if row else None


def projects_to_measure_judges() -> list[tuple[int, datetime]]:
    """Projects with runs that ended and were not measured since, and when the last of them did.

    A run that is resumed ends again, so its number would not tell one end from the next.
    """
    measured = JudgeReport.objects.filter(
        project=OuterRef("project"), judge=OuterRef("judge"),
        created_at__gte=OuterRef("job__finished_at"),
    )  # fmt: skip
    over = _measuring_runs().filter(job__state__in=Job.ENDED, job__finished_at__isnull=False)
    rows = over.filter(~Exists(measured)).order_by().values("project_id")
    return list(rows.annotate(last=Max("job__finished_at")).values_list("project_id", "last"))


def projects_with_old_cards() -> list[tuple[int, datetime]]:
    """Where people or judges have judged since, at most every so often."""
    measured = Resolution.objects.filter(resolved_at__isnull=False).annotate(
        measured_at=Max("project__judge_reports__created_at")
    )
    recently = timezone.now() - MEASURE_EVERY
    behind = measured.filter(measured_at__lt=Least(F("judged_at"), recently))
    return list(behind.values_list("project_id", "judged_at"))
