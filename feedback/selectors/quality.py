"""What the labelers of a project did, as arrays: a few queries, whatever the number of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q

from annotation.answers import AnswerValue
from annotation.gold_match import agrees_with_item, expected_value
from annotation.models import Assignment, GoldAnswer, Kind, Project
from feedback.models import Policy
from feedback.selectors.columns import fetch_columns, whole_project
from feedback.selectors.votes import (
    ABSENT,
    COUNTED,
    nan_where_absent,
    value_columns,
    voted_kinds,
)
from feedback.statistics.arrays import Booleans, Floats, Integers
from feedback.statistics.labeler_quality import AnswerTable, ProbeTable, Work

State = Assignment.State
_PEOPLE = "AND ann.judge_id IS NULL"
# In milliseconds. Imported answers have the moment of their import in common: no order.
_MOMENT = "(1000 * extract(epoch FROM coalesce(asg.finished_at, asg.created_at)))::bigint"
_ANSWERS = """
SELECT i.id, i.prompt_id, asg.annotator_id, ans.both_bad::int::bigint,
  asg.shown_order[1]::bigint, {moment}, {values}
{source} {people} AND i.kind = %s AND ans.criterion = %s {restriction} ORDER BY i.id, asg.id
"""
_BEFORE_VALUES = 6
_PROBES = """
SELECT i.id, asg.annotator_id, (asg.shown_order[1] <> again.shown_order[1])::int::bigint,
  {first}, {second}
FROM annotation_assignment again
JOIN annotation_item i ON i.id = again.item_id
JOIN annotation_annotator ann ON ann.id = again.annotator_id
JOIN annotation_assignment asg ON asg.item_id = again.item_id
  AND asg.annotator_id = again.annotator_id AND asg.occasion = 'main' AND asg.state = 'done'
JOIN annotation_answer ans ON ans.judgment_id = asg.current_id
JOIN annotation_answer twice ON twice.judgment_id = again.current_id
  AND twice.criterion = ans.criterion
WHERE i.project_id = %s AND again.occasion LIKE 'probe %%' AND again.state = 'done' {people}
  AND i.kind = %s AND ans.criterion = %s {restriction} ORDER BY i.id, again.id
"""
# The time of the first answer: a correction is quick because the texts were read before.
_TIMES = """
SELECT asg.annotator_id, j.active_ms::bigint, {moment}
FROM annotation_assignment asg
JOIN annotation_item i ON i.id = asg.item_id
JOIN annotation_annotator ann ON ann.id = asg.annotator_id
JOIN annotation_judgment j ON j.assignment_id = asg.id AND j.revision = 1
WHERE i.project_id = %s AND asg.state IN ('done', 'surplus') AND asg.occasion <> 'review'
  AND j.active_ms IS NOT NULL {people} {restriction}
"""


@dataclass(frozen=True)
class Loaded:
    """`annotators[rater]` is an annotator's id; `strata` names the tables of `work.answers`.

    `answered` and `skipped` count items [raters].
    """

    work: Work
    annotators: list[int]
    answered: Integers
    skipped: Integers
    strata: list[tuple[str, str]]
    # When each timed answer was given, in milliseconds since 1970, in the order of `work.seconds`.
    timed_at: Integers


@dataclass(frozen=True)
class _Scope:
    """A whole project, or some of its items."""

    project: Project
    item_ids: Sequence[int] | None

    @property
    def restriction(self) -> str:
        return "" if self.item_ids is None else "AND i.id = ANY(%s)"

    @property
    def items(self) -> list[list[int]]:
        return [] if self.item_ids is None else [list(self.item_ids)]

    def columns(self, query: str, params: Sequence[str], columns: int) -> list[Integers]:
        with whole_project(self.item_ids is None):
            return fetch_columns(query, [self.project.pk, *params, *self.items], columns)


def load_work(project: Project, policy: Policy, *, item_ids: Sequence[int] | None = None) -> Loaded:
    """People's work, judges apart. Whom the policy leaves out is measured all the same."""
    scope = _Scope(project, item_ids)
    strata = voted_kinds(project, item_ids)
    answers = [_answers(scope, kind, criterion) for kind, criterion in strata]
    probes = [_probes(scope, kind, criterion) for kind, criterion in strata]
    times = scope.columns(_TIMES.format(**_parts(scope)), [], 3)
    gold_rater, gold_prompt, gold_right = _gold(scope)
    counts = _counts(scope)
    known = [np.array(list(counts), dtype=np.int64), times[0], gold_rater]
    annotators = np.unique(np.concatenate([*known, *(table.rater for table in answers)]))

    def index(ids: Integers) -> Integers:
        return np.searchsorted(annotators, ids).astype(np.int64)

    weight = np.array([float(policy.weights.get(str(one), 1)) for one in annotators.tolist()])
    tallies = np.array([counts.get(one, (0, 0, 0)) for one in annotators.tolist()], dtype=np.int64)
    answered, skipped, is_person = tallies.reshape(-1, 3).T
    work = Work(
        raters=len(annotators),
        answers=[_indexed(table, index(table.rater), weight) for table in answers],
        probes=[replace(table, rater=index(table.rater)) for table in probes if len(table.item)],
        gold_rater=index(gold_rater),
        gold_prompt=gold_prompt,
        gold_right=gold_right,
        timed_rater=index(times[0]),
        seconds=times[1] / 1000,
        skipped=skipped,
        offered=(answered + skipped) * is_person,
    )
    return Loaded(work, annotators.tolist(), answered, skipped, strata, times[2])


def _indexed(table: AnswerTable, rater: Integers, weight: Floats) -> AnswerTable:
    return replace(table, rater=rater, weight=weight[rater])


def _parts(scope: _Scope) -> dict[str, str]:
    return {
        "moment": _MOMENT,
        "people": _PEOPLE,
        "source": COUNTED,
        "restriction": scope.restriction,
    }


def _answers(scope: _Scope, kind: str, criterion: str) -> AnswerTable:
    values = value_columns(scope.project, kind)
    as_shown = _shown_columns(values) if kind == Kind.LISTWISE else []
    wanted = [*values, *as_shown]
    query = _ANSWERS.format(values=", ".join(wanted), **_parts(scope))
    columns = scope.columns(query, [kind, criterion], _BEFORE_VALUES + len(wanted))
    item, prompt, annotator, both_bad, first, moment = columns[:_BEFORE_VALUES]
    numbers = nan_where_absent(np.stack(columns[_BEFORE_VALUES:], axis=1))
    return AnswerTable(
        kind=kind,
        item=item,
        prompt=prompt,
        rater=annotator,
        value=_values(kind, numbers[:, : len(values)]),
        shown=_shown(kind, numbers, len(values), first),
        both_bad=both_bad.astype(np.bool_),
        moment=moment,
        weight=np.ones(len(item)),
    )


def _shown_columns(values: Sequence[str]) -> list[str]:
    """The rank of the response shown first, second, …"""
    return [
        f"coalesce(ans.ranks[asg.shown_order[{place}] + 1], {ABSENT})::bigint"
        for place in range(1, len(values) + 1)
    ]


def _values(kind: str, numbers: Floats) -> Floats:
    return numbers if kind == Kind.LISTWISE else numbers[:, 0]


def _shown(kind: str, numbers: Floats, places: int, first: Integers) -> Floats:
    if kind == Kind.LISTWISE:
        return numbers[:, places:]
    if kind == Kind.THUMBS:
        return numbers[:, 0]
    shown: Floats = np.where(first == 0, numbers[:, 0], -numbers[:, 0])
    return shown


def _probes(scope: _Scope, kind: str, criterion: str) -> ProbeTable:
    values = value_columns(scope.project, kind)
    again = [value.replace("ans.", "twice.") for value in values]
    query = _PROBES.format(first=", ".join(values), second=", ".join(again), **_parts(scope))
    columns = scope.columns(query, [kind, criterion], 3 + 2 * len(values))
    numbers = nan_where_absent(np.stack(columns[3:], axis=1))
    swapped: Booleans = columns[2].astype(np.bool_)
    first, second = numbers[:, : len(values)], numbers[:, len(values) :]
    return ProbeTable(
        kind, columns[0], columns[1], _values(kind, first), _values(kind, second), swapped
    )


def _counts(scope: _Scope) -> dict[int, tuple[int, int, int]]:
    """How many items each has answered and skipped, and whether they work here: 1 or 0."""
    rows = Assignment.objects.filter(item__project=scope.project, annotator__judge=None)
    if scope.item_ids is not None:
        rows = rows.filter(item__any=scope.item_ids)
    counted = rows.exclude(occasion=Assignment.REVIEW).values_list(
        "annotator_id", "annotator__user_id"
    )
    answered = Count("pk", filter=Q(state__in=[State.DONE, State.SURPLUS]))
    skipped = Count("pk", filter=Q(state=State.SKIPPED))
    return {
        annotator: (answers, skips, int(user is not None))
        for annotator, user, answers, skips in counted.annotate(n=answered, s=skipped).order_by()
        if answers or skips
    }


def _gold(scope: _Scope) -> tuple[Integers, Integers, Floats]:
    """Who answered an item whose right answer is known, its prompt, and whether rightly."""
    expected: dict[int, dict[str, AnswerValue]] = {}
    gold = GoldAnswer.objects.filter(item__project=scope.project)
    for item, criterion, value in gold.values_list("item_id", "criterion", "expected"):
        expected.setdefault(item, {})[criterion] = expected_value(value)
    given = _answers_to_gold(scope) if expected else {}
    rows = []
    for (annotator, item, prompt, kind), answers in given.items():
        right = agrees_with_item(kind, expected.get(item, {}), answers)
        if right is not None:
            rows.append((annotator, prompt, right))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2].astype(np.float64)


def _answers_to_gold(scope: _Scope) -> dict[tuple[int, int, int, str], dict[str, AnswerValue]]:
    """One answer a person and item: that to the hidden gold item before any other."""
    rows = Assignment.objects.filter(
        Exists(GoldAnswer.objects.filter(item=OuterRef("item"))),
        item__project=scope.project,
        annotator__judge=None,
        occasion__in=[Assignment.MAIN, Assignment.GOLD],
        state=State.DONE,
    )
    if scope.item_ids is not None:
        rows = rows.filter(item__any=scope.item_ids)
    values = ("strength", "both_bad", "ranks", "acceptable_to", "thumb")
    found: dict[tuple[int, int, int, str], dict[str, AnswerValue]] = {}
    # "main" comes after "gold" in the alphabet, so it is overwritten by it.
    for annotator, item, prompt, kind, criterion, *value in rows.order_by("-occasion").values_list(
        "annotator_id", "item_id", "item__prompt_id", "item__kind",
        "current__answers__criterion", *(f"current__answers__{name}" for name in values),
    ):  # fmt: skip
        strength, both_bad, ranks, line, thumb = value
        one = AnswerValue(strength, both_bad, tuple(ranks) if ranks else None, line, thumb)
        found.setdefault((annotator, item, prompt, kind), {})[criterion] = one
    return found


def items_judged_by(project: Project, annotator: int, *, most: int) -> list[int]:
    """The newest so many."""
    rows = Assignment.objects.filter(item__project=project, annotator=annotator, state=State.DONE)
    newest = rows.exclude(occasion=Assignment.REVIEW).order_by("-finished_at", "-pk")
    return list(newest.values_list("item_id", flat=True)[:most])


def has_more_answers(project: Project, than: int) -> bool:
    """Whether more were given; it decides how to measure, so it counts no further."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM annotation_assignment asg JOIN annotation_item i "
            "ON i.id = asg.item_id WHERE i.project_id = %s AND asg.state = 'done' "
            "LIMIT %s) AS found",
            [project.pk, than + 1],
        )
        row: tuple[int] = cursor.fetchone()
    return row[0] > than
