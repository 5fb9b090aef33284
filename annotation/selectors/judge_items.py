"""Which items a judge takes: never gold, never equal texts, none twice; read page by page."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from annotation.models import Judge, Project, ProjectJudge
from annotation.selectors.judge import kinds_of, spec_of
from core.errors import PrefloopError

Takes = ProjectJudge.Takes

_PEOPLE = """
FROM annotation_assignment assignment
JOIN annotation_annotator annotator ON annotator.id = assignment.annotator_id
    AND annotator.judge_id IS NULL
"""
_ANSWERED = "assignment.item_id = item.id AND assignment.occasion = 'main' AND"
_TAKES = {
    Takes.ALL: "TRUE",
    Takes.NONE: "FALSE",
    Takes.UNLABELED: f"""NOT EXISTS (
        SELECT 1 {_PEOPLE} WHERE {_ANSWERED} assignment.current_id IS NOT NULL)""",
    # Another winner, another ranking, another thumb; how much better is no disagreement.
    Takes.DISAGREED: f"""EXISTS (
        SELECT 1 {_PEOPLE}
        JOIN annotation_answer answer ON answer.judgment_id = assignment.current_id
        WHERE {_ANSWERED} assignment.state = 'done'
        GROUP BY answer.criterion
        HAVING count(DISTINCT coalesce(
            sign(answer.strength)::text, answer.ranks::text, answer.thumb::text)) > 1)""",
}
# Those that it has answered, for whom a second asking has something to be compared with.
_ANSWERED_BY_JUDGE = """EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = 'judge'
      AND verdict.outcome = 'judged')"""
_NOT_YET = """NOT EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = %(purpose)s)"""
# Asked again on request; what this run itself has tried is not tried for ever.
_IN_VAIN = """EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = %(purpose)s
      AND verdict.outcome <> 'judged' AND verdict.run_id <> %(run)s)"""
_FROM = """
FROM annotation_item item JOIN annotation_prompt prompt ON prompt.id = item.prompt_id
WHERE item.project_id = %(project)s AND item.origin = 'created' AND NOT item.is_gold
  AND item.kind = ANY(%(kinds)s) AND prompt.withdrawn_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM annotation_itemresponse placed
    JOIN annotation_response response ON response.id = placed.response_id
    WHERE placed.item_id = item.id AND response.withdrawn_at IS NOT NULL)
"""


class JudgeItems:
    """A selection of a project's items for one judge and purpose.

    `selection`: {"takes": "unlabeled"} or {"items": [1, 2]}; {"again": true} takes those that were
    asked in vain instead of those that were not asked yet; {"limit": 100}.
    """

    def __init__(
        self,
        judge: Judge,
        project: Project,
        selection: Mapping[str, Any],
        *,
        purpose: str = "judge",
        run: int = 0,
    ) -> None:
        self.selection = selection
        self.values: dict[str, Any] = {
            "project": project.pk,
            "judge": judge.pk,
            "purpose": purpose,
            "run": run,
            "kinds": kinds_of(spec_of(judge)),
        }
        self.where = self._where(purpose)

    def count(self) -> int:
        """Without its limit."""
        return int(self._column(f"SELECT count(*) {self.where}")[0])

    def page(self, after: int, size: int) -> list[int]:
        """The next ones by number."""
        sql = f"SELECT item.id {self.where} AND item.id > %(after)s ORDER BY item.id LIMIT %(size)s"
        return self._column(sql, after=after, size=size)

    def sample(self, size: int, *, seed: int = 0) -> list[int]:
        """So many of them at random, the same ones for the same seed."""
        numbers = self._column(f"SELECT item.id {self.where} ORDER BY item.id")
        if len(numbers) <= size:
            return numbers
        return sorted(random.Random(seed).sample(numbers, size))  # no secret

    def _where(self, purpose: str) -> str:
        takes = self.selection.get("takes", Takes.ALL)
        again = self.selection.get("again")
        parts = [_FROM, _IN_VAIN if again else _NOT_YET]
        if "items" in self.selection:
            self.values["items"] = list(self.selection["items"])
            parts.append("item.id = ANY(%(items)s)")
        elif takes in _TAKES:
            parts.append(_TAKES[Takes(takes)])
        else:
            raise PrefloopError(
                f"A judge takes {', '.join(Takes.values)} or numbered items, not “{takes}”."
            )
        if purpose.startswith(("repeat", "canary")):
            parts.append(_ANSWERED_BY_JUDGE)
        return " AND ".join(parts)

    def _column(self, sql: str, **values: Any) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(sql, self.values | values)
            return [row[0] for row in cursor.fetchall()]


_LAST_ATTEMPTS = """
SELECT item_id, max(attempt) FROM annotation_judgecall
WHERE judge_id = %s AND item_id = ANY(%s) AND run_id <> %s AND split_part(purpose, '/', 1) = %s
GROUP BY item_id
"""


def first_attempts(judge: Judge, items: Sequence[int], *, purpose: str, run: int) -> dict[int, int]:
    """For items asked again: the number of the attempt with which this run begins."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ATTEMPTS, [judge.pk, list(items), run, purpose])
        return {item: attempt + 1 for item, attempt in cursor.fetchall()}
