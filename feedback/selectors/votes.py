"""The judgments that count, as arrays.

Only `main` answers of done assignments on items that were shown: no gold, no probe, no surplus, no
earlier revision, and no stored tie of equal texts. Judges' verdicts come marked; those of a judge
whose gate is closed in the project do not come at all, nor those of a kind or by a criterion that
the card behind an open gate had not measured, but where judges themselves are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
from django.db import connection

from annotation.models import Annotator, Assignment, Item, Kind, Project
from feedback.models import JudgeStanding, Policy
from feedback.selectors.columns import fetch_columns, whole_project
from feedback.statistics.arrays import Booleans, Floats, Integers
from feedback.statistics.ballots import VoteTable

# Stands for NULL, since every column is a number.
ABSENT = -1000


@dataclass(frozen=True)
class Votes:
    """Votes on one criterion of one kind, one row a vote, ordered by item.

    `value` is [votes] for pairwise (strength -3..3) and thumbs (0, 1), and [votes, longest list]
    for lists (ranks in canonical order, NaN beyond a list's end). `shown_first` is the canonical
    place of the response shown first. `acceptable_to` is NaN where no line was drawn. `weight`
    comes from the policy. `probability` [votes, pairs] is what a judge says of each pair of
    responses in combinations order (thumbs: of a thumbs up), NaN where nothing is said, and
    without columns where no judge is believed.
    """

    item: Integers
    prompt: Integers
    annotator: Integers
    judgment: Integers
    is_judge: Booleans
    both_bad: Booleans
    shown_first: Integers
    acceptable_to: Floats
    value: Floats
    weight: Floats
    probability: Floats

    def __len__(self) -> int:
        return len(self.item)

    def only(self, rows: Booleans | slice) -> Votes:
        return Votes(*(getattr(self, field.name)[rows] for field in fields(self)))

    def table(self) -> tuple[VoteTable, Integers]:
        """For the statistics: indices from 0, and the annotator's id of each rater index.

        Which of two responses is the first is arbitrary, and alpha depends on it a little through
        the marginals. Here it is the one that the item's first annotator saw first, so that an
        imported set gives the figures of its source whatever ids its responses were given.
        """
        annotators, rater = np.unique(self.annotator, return_inverse=True)
        votes = VoteTable(
            unit=np.unique(self.item, return_inverse=True)[1].astype(np.int64),
            rater=rater.astype(np.int64),
            value=self.value if self.value.ndim > 1 else self.value * self.directions(),
            cluster=np.unique(self.prompt, return_inverse=True)[1].astype(np.int64),
            is_judge=self.is_judge,
        )
        return votes, annotators.astype(np.int64)

    def directions(self) -> Floats:
        """-1 for the votes on items whose first annotator saw the canonically second first."""
        _, first, unit = np.unique(self.item, return_index=True, return_inverse=True)
        directions: Floats = np.where(self.shown_first[first] == 0, 1.0, -1.0)
        return directions[unit]


COUNTED = """
FROM annotation_assignment asg
JOIN annotation_item i ON i.id = asg.item_id
JOIN annotation_annotator ann ON ann.id = asg.annotator_id
JOIN annotation_answer ans ON ans.judgment_id = asg.current_id
WHERE i.project_id = %s AND i.origin = 'created' AND asg.occasion = 'main' AND asg.state = 'done'
"""
_COMMON = """
SELECT i.id, i.prompt_id, asg.annotator_id, asg.current_id,
  (ann.judge_id IS NOT NULL)::int::bigint, ans.both_bad::int::bigint, asg.shown_order[1]::bigint,
  coalesce(ans.acceptable_to, {absent})::bigint, {values}
{source} AND i.kind = %s AND ans.criterion = %s {restriction} {believed} ORDER BY i.id, asg.id
"""
_BELIEVED = "AND (ann.judge_id IS NULL OR ann.judge_id = ANY(%s))"
_BEFORE_VALUES = 8
BILLION = 1_000_000_000


def voted_kinds(project: Project, item_ids: Sequence[int] | None = None) -> list[tuple[str, str]]:
    """The pairs of kind and criterion that have counted judgments."""
    restriction, items = _restricted(item_ids)
    query = f"SELECT DISTINCT i.kind, ans.criterion {COUNTED} {restriction} ORDER BY 1, 2"
    with whole_project(item_ids is None), connection.cursor() as cursor:
        cursor.execute(query, [project.pk, *items])
        return [(kind, criterion) for kind, criterion in cursor.fetchall()]


def _restricted(item_ids: Sequence[int] | None) -> tuple[str, list[list[int]]]:
    return ("", []) if item_ids is None else ("AND i.id = ANY(%s)", [list(item_ids)])


def load_votes(
    project: Project,
    kind: str,
    criterion: str,
    *,
    policy: Policy | None = None,
    item_ids: Sequence[int] | None = None,
    every_judge: bool = False,
) -> Votes:
    """Annotators whom the policy excludes are left out, and judges who are not believed in this.

    With `every_judge` those come too, for measuring them: no decision may rest on such votes.
    """
    restriction, items = _restricted(item_ids)
    values = value_columns(project, kind)
    believed = [] if every_judge else believed_judges(project, kind, criterion)
    soft = _soft_columns(kind, len(values)) if believed else []
    query = _COMMON.format(
        absent=ABSENT,
        values=", ".join([*values, *soft]),
        source=COUNTED,
        restriction=restriction,
        believed="" if every_judge else _BELIEVED,
    )
    params = [project.pk, kind, criterion, *items, *([] if every_judge else [believed])]
    with whole_project(item_ids is None):
        columns = fetch_columns(query, params, _BEFORE_VALUES + len(values) + len(soft))
    return weighed(_votes(columns, kind, len(values)), policy)


_OPEN = """
SELECT standing.judge_id, section ->> 'kind', section ->> 'criterion'
FROM feedback_judgestanding standing
JOIN feedback_judgereport report ON report.id = standing.report_id
CROSS JOIN LATERAL jsonb_array_elements(report.figures -> 'sections') section
WHERE standing.project_id = %s AND standing.is_newest AND standing.is_open
"""


def open_judges(project: Project) -> list[int]:
    """The judges whose gate is open here; whether they count is the policy's word."""
    standing = JudgeStanding.objects.filter(project=project, is_newest=True, is_open=True)
    return list(standing.values_list("judge_id", flat=True))


def believed_answers(project: Project) -> set[tuple[int, str, str]]:
    """Judge, kind and criterion of the answers that may count: what the card behind an open gate
    had measured. What a judge answers anew, no person has been compared with yet."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [project.pk])
        return {(judge, kind, criterion) for judge, kind, criterion in cursor.fetchall()}


def believed_judges(project: Project, kind: str, criterion: str) -> list[int]:
    return [judge for judge, *of in believed_answers(project) if of == [kind, criterion]]


def value_columns(project: Project, kind: str) -> list[str]:
    if kind == Kind.PAIRWISE:
        return ["ans.strength::bigint"]
    if kind == Kind.THUMBS:
        return ["ans.thumb::bigint"]
    longest = (
        Item.objects.filter(project=project, kind=kind)
        .order_by("-item_responses__position")
        .values_list("item_responses__position", flat=True)
        .first()
    )
    places = range(1, (longest or 0) + 2)
    return [f"coalesce(ans.ranks[{place}], {ABSENT})::bigint" for place in places]


def _soft_columns(kind: str, longest: int) -> list[str]:
    """P of each pair (i, j) of the longest list, in billionths; a list's own pairs stand in
    combinations order, which depends on its length."""
    if kind != Kind.LISTWISE:
        return [_soft_column("1", "true")]
    size = "cardinality(ans.ranks)"
    return [
        _soft_column(f"{i} * {size} + {j - i - i * (i + 1) // 2}", f"{j} < {size}")
        for i, j in combinations(range(longest), 2)
    ]


def _soft_column(place: str, known: str) -> str:
    said = f"round(ans.probabilities[{place}] * {BILLION})::bigint"
    is_said = f"ann.judge_id IS NOT NULL AND {known}"
    return f"coalesce(CASE WHEN {is_said} THEN {said} END, {ABSENT})"


def _votes(columns: list[Integers], kind: str, longest: int) -> Votes:
    """`longest`: how many columns the values have; what follows are probabilities."""
    before, after = _BEFORE_VALUES, _BEFORE_VALUES + longest
    soft = [nan_where_absent(column) / BILLION for column in columns[after:]]
    item, prompt, annotator, judgment, is_judge, both_bad, shown, line = columns[:before]
    values = np.stack(columns[before:after], axis=1)
    return Votes(
        item=item,
        prompt=prompt,
        annotator=annotator,
        judgment=judgment,
        is_judge=is_judge.astype(np.bool_),
        both_bad=both_bad.astype(np.bool_),
        shown_first=shown,
        acceptable_to=nan_where_absent(line),
        value=nan_where_absent(values if kind == Kind.LISTWISE else values[:, 0]),
        weight=np.ones(len(item)),
        probability=np.stack(soft, axis=1) if soft else np.empty((len(item), 0)),
    )


def nan_where_absent(values: Integers) -> Floats:
    result: Floats = np.where(values == ABSENT, np.nan, values)
    return result


def weighed(votes: Votes, policy: Policy | None) -> Votes:
    if policy is None or not policy.weights:
        return votes
    weight = votes.weight.copy()
    for annotator, given in policy.weights.items():
        weight[votes.annotator == int(annotator)] = float(given)
    columns = {field.name: getattr(votes, field.name) for field in fields(votes)}
    return Votes(**{**columns, "weight": weight}).only(weight > 0)


def names_of(annotators: Sequence[int]) -> dict[int, str]:
    """What pages call these annotators: a judge's name, else a pseudonym."""
    rows = Annotator.objects.filter(pk__in=annotators).select_related("judge")
    return {row.pk: str(row) for row in rows}


def count_judgments(project: Project) -> int:
    return Assignment.objects.filter(
        item__project=project, occasion=Assignment.MAIN, state=Assignment.State.DONE
    ).count()
