"""What came after a judge's card and bears on it: by nothing else is a card out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.db.models import Max, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.models import JudgeRun, Project
from feedback.models import JudgeReport, Resolution


class News(models.TextChoices):
    """In the order in which they are told: of several the first."""

    RUN = "run", "a run of it is under way, or has ended since"
    OWN = "own", "it has newer answers"
    PEOPLE = "people", "people have answered since on items that it judged"
    LEFT_OUT = "left out", "the policy leaves out other people since"
    DECISIONS = "decisions", "decisions about items that it judged have changed since"


# What a card takes of a decision: nothing where a judge had a say in it.
_USED = """
CASE WHEN {row}.state IN ('accepted', 'tied', 'adjudicated') AND {row}.support_people > 0
  AND {row}.support_judges = 0 THEN {row}.outcome END
"""
_ASKED = """
EXISTS (
  SELECT FROM annotation_assignment mine JOIN annotation_annotator me ON me.id = mine.annotator_id
  WHERE mine.item_id = {row}.item_id AND me.judge_id = card.judge_id
    AND mine.occasion = 'main' AND mine.state = 'done')
"""
# What is newer than the oldest of the cards is read once; most often it is little.
_NEWS = """
WITH card AS (
  SELECT id, judge_id, created_at FROM feedback_judgereport WHERE id = ANY(%(cards)s)
), answer AS MATERIALIZED (
  SELECT asg.item_id, ann.judge_id, given.created_at FROM annotation_judgment given
  JOIN annotation_assignment asg ON asg.current_id = given.id
  JOIN annotation_annotator ann ON ann.id = asg.annotator_id
  JOIN annotation_item i ON i.id = asg.item_id
  WHERE given.created_at >= (SELECT min(created_at) FROM card) AND i.project_id = %(project)s
    AND asg.occasion = 'main' AND asg.state = 'done'
), decision AS MATERIALIZED (
  SELECT p.item_id, p.criterion, p.created_at, {used} AS outcome FROM feedback_preference p
  JOIN annotation_item i ON i.id = p.item_id
  WHERE p.is_newest AND p.created_at >= (SELECT min(created_at) FROM card)
    AND i.project_id = %(project)s
)
SELECT card.id,
  EXISTS (SELECT FROM answer
    WHERE answer.judge_id = card.judge_id AND answer.created_at >= card.created_at),
  EXISTS (SELECT FROM answer
    WHERE answer.judge_id IS NULL AND answer.created_at >= card.created_at AND {asked_answer}),
  EXISTS (SELECT FROM decision
    LEFT JOIN LATERAL (
      SELECT {used_before} AS outcome FROM feedback_preference earlier
      WHERE earlier.item_id = decision.item_id AND earlier.criterion = decision.criterion
        AND earlier.created_at < card.created_at
      ORDER BY earlier.id DESC LIMIT 1
    ) before ON true
    WHERE decision.created_at >= card.created_at AND {asked_decision}
      AND decision.outcome IS DISTINCT FROM before.outcome)
FROM card
"""


def news_of(project: Project, cards: Sequence[JudgeReport]) -> dict[int, News]:
    """By judge, where there is any."""
    ends, changed = _last_ends(project), _last_change(project)
    found: dict[int, News] = {}
    unsure: list[JudgeReport] = []
    for card in cards:
        ended = ends.get(card.judge_id)
        if ended and ended > card.created_at:
            found[card.judge_id] = News.RUN
        # What changed in the project may be nothing to this judge, which takes longer to see.
        elif changed and changed > card.created_at:
            unsure.append(card)
    return found | (_looked_into(project, unsure) if unsure else {})


def _looked_into(project: Project, cards: Sequence[JudgeReport]) -> dict[int, News]:
    query = _NEWS.format(
        used=_USED.format(row="p"),
        used_before=_USED.format(row="earlier"),
        asked_answer=_ASKED.format(row="answer"),
        asked_decision=_ASKED.format(row="decision"),
    )
    with connection.cursor() as cursor:
        cursor.execute(query, {"cards": [card.pk for card in cards], "project": project.pk})
        signs = {card: news for card, *news in cursor.fetchall()}
    policies = list(project.policies.order_by("version").values_list("created_at", "weights"))
    found: dict[int, News] = {}
    for card in cards:
        own, people, decisions = signs[card.pk]
        told = {
            News.OWN: own,
            News.PEOPLE: people,
            News.LEFT_OUT: _leaves_out_others(policies, card.created_at),
            News.DECISIONS: decisions,
        }
        first = next((kind for kind, is_so in told.items() if is_so), None)
        if first is not None:
            found[card.judge_id] = first
    return found


def _leaves_out_others(
    policies: Sequence[tuple[datetime, Mapping[str, Any]]], measured_at: datetime
) -> bool:
    then = [weights for made_at, weights in policies if made_at < measured_at][-1:]
    return bool(then) and _left_out(then[0]) != _left_out(policies[-1][1])


def _left_out(weights: Mapping[str, Any]) -> set[str]:
    return {annotator for annotator, weight in weights.items() if weight == 0}


def _last_ends(project: Project) -> dict[int, datetime]:
    """When each judge's last run ended; one that has not ended yet is later than any card."""
    ended = Max(Coalesce("job__finished_at", timezone.now()))
    runs = measuring_runs().filter(project=project).order_by().values("judge_id")
    return dict(runs.annotate(ended=ended).values_list("judge_id", "ended"))


def measuring_runs() -> QuerySet[JudgeRun]:
    return JudgeRun.objects.exclude(purpose__in=[JudgeRun.Purpose.TRIAL, JudgeRun.Purpose.REWARD])


def _last_change(project: Project) -> datetime | None:
    """When a judgment or the policy last changed what counts; None before it was looked at."""
    row = Resolution.objects.filter(project=project, resolved_at__isnull=False).first()
    return row.judged_at if row else None
