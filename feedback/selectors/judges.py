"""The judges of a project with their newest cards and standings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, Max, OuterRef, Subquery
from django.utils import timezone

from annotation.models import Judge, Project
from core.models import Job
from feedback.models import JudgeReport, JudgeStanding, Resolution
from feedback.selectors.judge_news import News, measuring_runs, news_of
from feedback.selectors.judge_rows import judges_of

# A card takes longer to compute and to keep than agreement, and moves slowly.
MEASURE_EVERY = timedelta(minutes=10)
# A coin flips in half. Where half flips, and all that to one place, that place is picked in three
# quarters.
COIN = 0.5
PLACE = 0.75


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
    """A judge as the board lists it; without a report it was not measured yet, without news its
    card is up to date."""

    judge: Judge
    report: JudgeReport | None
    standing: JudgeStanding | None
    news: News | None

    @property
    def is_behind(self) -> bool:
        return self.news is not None

    @property
    def is_open(self) -> bool:
        return self.standing is not None and self.standing.is_open

    @property
    def judges_places(self) -> bool:
        """Whether, by the whole of an interval, the order moves it more than what it is shown."""
        sections = self.report.figures["sections"] if self.report else []
        # The order of a file is its maker's: who lists the better one first makes no bad judge.
        is_asked = self.judge.origin != Judge.Origin.IMPORTED
        return is_asked and any(_of_places(one.get("figures", {})) for one in sections)

    @property
    def section(self) -> dict[str, Any] | None:
        """The kind and criterion that most can be said of: that on most items with people."""
        sections = self.report.figures["sections"] if self.report else []
        return dict(sections[0]) if sections else None


def _of_places(figures: Mapping[str, Mapping[str, Any]]) -> bool:
    flips, first = figures.get("flips", {}), figures.get("first", {})
    least, low, high = flips.get("low"), first.get("low"), first.get("high")
    flips_more = least is not None and least > COIN
    picks_first = low is not None and low > PLACE
    picks_last = high is not None and high < 1 - PLACE
    return flips_more or picks_first or picks_last


def judge_rows(project: Project) -> list[JudgeRow]:
    cards, standings = newest_cards(project), newest_standings(project)
    news = news_of(project, list(cards.values()))
    return [
        JudgeRow(judge, cards.get(judge.pk), standings.get(judge.pk), news.get(judge.pk))
        for judge in judges_of(project)
    ]


def judge_row(project: Project, judge: Judge) -> JudgeRow:
    report = JudgeReport.objects.filter(project=project, judge=judge).order_by("-pk").first()
    standing = (
        JudgeStanding.objects.filter(project=project, judge=judge, is_newest=True)
        .select_related("gate")
        .first()
    )
    news = news_of(project, [report]) if report else {}
    return JudgeRow(judge, report, standing, news.get(judge.pk))


def projects_to_measure_judges() -> list[tuple[int, datetime]]:
    """Projects with runs that ended and were not measured since, and when the last of them did.

    A run that is resumed ends again, so its number would not tell one end from the next.
    """
    measured = JudgeReport.objects.filter(
        project=OuterRef("project"), judge=OuterRef("judge"),
        created_at__gte=OuterRef("job__finished_at"),
    )  # fmt: skip
    over = measuring_runs().filter(job__state__in=Job.ENDED, job__finished_at__isnull=False)
    rows = over.filter(~Exists(measured)).order_by().values("project_id")
    return list(rows.annotate(last=Max("job__finished_at")).values_list("project_id", "last"))


def projects_with_old_cards() -> list[tuple[int, datetime]]:
    """Where people or judges have judged since a card was made, at most every so often.

    One judge may have been measured alone, so the oldest of the newest cards tells.
    """
    cards = JudgeReport.objects.filter(project=OuterRef("project")).order_by()
    of_each = cards.values("judge").annotate(last=Max("created_at")).order_by("last")
    measured = Resolution.objects.filter(resolved_at__isnull=False).annotate(
        measured_at=Max("project__judge_reports__created_at"),
        oldest=Subquery(of_each.values("last")[:1]),
    )
    recently = timezone.now() - MEASURE_EVERY
    behind = measured.filter(measured_at__lt=recently, oldest__lt=F("judged_at"))
    return list(behind.values_list("project_id", "judged_at"))
