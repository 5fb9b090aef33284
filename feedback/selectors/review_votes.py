"""The judgments on an item as a reviewer sees them: first without names, then with them.

Those of judges who are not believed in this are neither shown nor argued with: they count for
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from django.db import connection
from django.db.models import F, Q

from annotation.answer_words import in_words
from annotation.answers import AnswerValue, to_shown
from annotation.models import Annotator, Answer, Assignment, Item, Judgment, Kind, Project
from feedback.models import Preference
from feedback.review_words import Habit, Vote, causes
from feedback.selectors.agreement import criterion_names
from feedback.selectors.votes import believed_judges
from feedback.statistics.intervals import critical_value, wilson

# Of fewer answers no habit is told.
HABIT_OF = 20
_HABITS = """
SELECT asg.annotator_id, count(*),
  count(*) FILTER (WHERE (ans.strength > 0) = (asg.shown_order[1] = 0))
FROM annotation_assignment asg
JOIN annotation_item i ON i.id = asg.item_id
JOIN annotation_annotator ann ON ann.id = asg.annotator_id AND ann.judge_id IS NULL
JOIN annotation_answer ans ON ans.judgment_id = asg.current_id AND ans.strength <> 0
WHERE asg.annotator_id = ANY(%s) AND i.project_id = %s
  AND asg.occasion = 'main' AND asg.state = 'done' AND ans.criterion = %s
GROUP BY 1
"""


@dataclass(frozen=True)
class ShownVote:
    """`annotator` is None while the judgments are shown without names."""

    number: int
    words: str
    reasons: list[str]
    comment: str
    protocol: int
    first: str
    counts: bool
    judgment: int
    annotator: Annotator | None


@dataclass(frozen=True)
class CriterionVotes:
    key: str
    name: str
    preference: Preference
    votes: list[ShownVote]
    causes: list[str]
    # The reviewer's own blind answer, in words.
    blind: str


def votes_on(
    assignment: Assignment, waiting: Sequence[Preference], blind: Judgment, *, named: bool
) -> list[CriterionVotes]:
    """For each criterion that waits, in the words of the order that the reviewer has seen."""
    names = criterion_names(assignment.item.project)
    return [
        _criterion_votes(assignment, row, names.get(row.criterion, row.criterion), blind, named)
        for row in waiting
    ]


def blind_answers(blind: Judgment) -> dict[str, AnswerValue]:
    """By criterion, in canonical order."""
    return {answer.criterion: AnswerValue.of(answer) for answer in blind.answers.all()}


def _believed(item: Item, criterion: str) -> Q:
    """Answers by this criterion of people, and of the judges who are believed in it."""
    judge = "judgment__assignment__annotator__judge"
    judges = believed_judges(item.project, item.kind, criterion)
    who = Q(**{f"{judge}__isnull": True}) | Q(**{f"{judge}__in": judges})
    return who & Q(criterion=criterion)


def answers_on(item: Item, criterion: str) -> list[Answer]:
    """Everybody's answer that counts or would: main, given in time, as last revised."""
    current = Answer.objects.filter(judgment__assignment__current=F("judgment"))
    return list(
        current.filter(
            _believed(item, criterion),
            judgment__assignment__item=item,
            judgment__assignment__occasion=Assignment.MAIN,
            judgment__assignment__state=Assignment.State.DONE,
        ).select_related(
            "judgment__comment",
            "judgment__protocol",
            "judgment__assignment__annotator__judge",
            "judgment__assignment__annotator__user",
        )
    )


def seen_judgments(sent: str, assignment: Assignment, criteria: Sequence[str]) -> list[int]:
    """Of the ids that the page sent back those that it can have shown."""
    given = {int(word) for word in sent.split(",") if word.isdecimal() and len(word) < 19}
    believed = (_believed(assignment.item, criterion) for criterion in criteria)
    known = Answer.objects.filter(
        reduce(or_, believed, Q(pk__in=[])),
        judgment__in=given,
        judgment__assignment__item=assignment.item_id,
        judgment__assignment__occasion=Assignment.MAIN,
    )
    return sorted(set(known.values_list("judgment", flat=True)))


def _criterion_votes(
    assignment: Assignment, row: Preference, name: str, blind: Judgment, named: bool
) -> CriterionVotes:
    order, project = assignment.shown_order, assignment.item.project
    # By chance, the same each time: the order in which they came would tell who they are.
    answers = sorted(
        answers_on(assignment.item, row.criterion), key=lambda one: _chance(assignment, one)
    )
    habits = _habits(project, row, answers)
    votes = [_vote(number, one, order, habits) for number, one in enumerate(answers, start=1)]
    own = blind_answers(blind).get(row.criterion)
    return CriterionVotes(
        key=row.criterion,
        name=name,
        preference=row,
        votes=[
            _shown(vote, one, row, order, named) for vote, one in zip(votes, answers, strict=True)
        ],
        causes=causes(votes),
        blind=_words(to_shown(own, order)) if own else "",
    )


def _chance(assignment: Assignment, answer: Answer) -> str:
    return hashlib.sha256(f"{assignment.pk} {answer.judgment_id}".encode()).hexdigest()


def _words(value: AnswerValue) -> str:
    return in_words(value, lambda position: f"Response {position + 1}")


def _vote(number: int, answer: Answer, order: Sequence[int], habits: dict[int, Habit]) -> Vote:
    given = answer.judgment.assignment
    return Vote(
        number=number,
        value=to_shown(AnswerValue.of(answer), order),
        is_judge=given.annotator.is_judge,
        protocol=answer.judgment.protocol.version,
        shown_first=list(order).index(given.shown_order[0]),
        active_ms=answer.judgment.active_ms,
        habit=habits.get(given.annotator_id),
    )


def _shown(
    vote: Vote, answer: Answer, row: Preference, order: Sequence[int], named: bool
) -> ShownVote:
    judgment = answer.judgment
    comment = getattr(judgment, "comment", None)
    return ShownVote(
        number=vote.number,
        words=_words(vote.value),
        reasons=judgment.reasons,
        comment=comment.text if comment else "",
        protocol=vote.protocol,
        first=f"Response {vote.shown_first + 1}" if len(order) > 1 else "",
        counts=judgment.pk in row.judgment_ids,
        judgment=judgment.pk,
        annotator=judgment.assignment.annotator if named else None,
    )


def _habits(project: Project, row: Preference, answers: Sequence[Answer]) -> dict[int, Habit]:
    """Who prefers a side, over all pairs that they judged here and that were no tie to them."""
    if row.item.kind != Kind.PAIRWISE:
        return {}
    who = [one.judgment.assignment.annotator_id for one in answers]
    with connection.cursor() as cursor:
        cursor.execute(_HABITS, [who, project.pk, row.criterion])
        rows = [one for one in cursor.fetchall() if one[1] >= HABIT_OF]
    return {annotator: _habit(first, given) for annotator, given, first in rows}


def _habit(first: int, given: int) -> Habit:
    low, high = share_interval(first, given)
    return Habit(first=first, answers=given, low=low, high=high)


def share_interval(hits: int, given: int) -> tuple[float, float]:
    """Wilson's 95 % interval of independent answers."""
    normal = critical_value(np.array([1e9]))
    low, high = wilson(np.array([hits / given]), np.array([float(given)]), normal)
    return float(low[0]), float(high[0])
