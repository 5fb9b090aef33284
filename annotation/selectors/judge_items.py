"""Which items a judge takes: never gold, never equal texts, none twice; read page by page."""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from annotation.judging.content import LISTWISE, LONGEST_LIST
from annotation.models import Judge, Project, ProjectJudge, Protocol
from annotation.selectors.judge import kinds_of, spec_of
from core.errors import PrefloopError

Takes = ProjectJudge.Takes
# Item.rnd is below it.
RING = 1_000_000
# Of a project with more items, a slice of the ring that holds about so many is looked through.
LOOKED_THROUGH = 50_000

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
# The criteria and guidelines are in the prompt: under others it is another question.
_BY_ANOTHER_PROTOCOL = """EXISTS (
    SELECT 1 FROM annotation_judgment judgment
    WHERE judgment.id = verdict.judgment_id AND judgment.protocol_id <> %(protocol)s)"""
# Those that it has answered, for whom a second asking has something to be compared with.
_ANSWERED_BY_JUDGE = f"""EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = 'judge'
      AND verdict.outcome = 'judged' AND NOT {_BY_ANOTHER_PROTOCOL})"""  # noqa: S608  # a constant
# What the run itself has tried is no reason against an item: a draw that is made again, after a
# crash, must find the same ones.
_NOT_YET = """NOT EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = %(purpose)s
      AND verdict.run_id <> %(run)s)"""
# Asked again on request.
_AGAIN = f"""EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = %(purpose)s
      AND (verdict.run_id = %(run)s OR verdict.outcome <> 'judged'
        OR {_BY_ANOTHER_PROTOCOL}))"""  # noqa: S608  # a constant
_TRIED = """EXISTS (
    SELECT 1 FROM annotation_judgeverdict verdict WHERE verdict.item_id = item.id
      AND verdict.judge_id = %(judge)s AND verdict.purpose = %(purpose)s
      AND verdict.run_id = %(run)s)"""
# One of each prompt, then a second of each, and so on: a hundred answers to one prompt tell little.
_DRAW = """
SELECT id FROM (
    SELECT item.id, {tried} AS tried, hashint8extended(item.prompt_id, %(seed)s) AS place,
        row_number() OVER (
            PARTITION BY item.prompt_id ORDER BY hashint8extended(item.id, %(seed)s), item.id
        ) AS turn
    {chosen}
) drawn WHERE NOT tried ORDER BY turn, place, id LIMIT %(size)s
"""
# From somewhere on the ring of the items' random numbers, which know nothing of the items.
_PLACE = f"mod(item.rnd - %(start)s + {RING}, {RING})"
_ALL = """
FROM annotation_item item JOIN annotation_prompt prompt ON prompt.id = item.prompt_id
WHERE item.project_id = %(project)s"""
_OF_ITS_KIND = "item.kind = ANY(%(kinds)s)"
_USABLE = """item.origin = 'created' AND NOT item.is_gold AND prompt.withdrawn_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM annotation_itemresponse placed
    JOIN annotation_response response ON response.id = placed.response_id
    WHERE placed.item_id = item.id AND response.withdrawn_at IS NOT NULL)"""
_FROM = f"{_ALL} AND {_OF_ITS_KIND} AND {_USABLE}"
# People may be given longer lists than a judge can tell apart by its letters.
_TOO_LONG = f"""EXISTS (
    SELECT 1 FROM annotation_itemresponse placed
    WHERE placed.item_id = item.id AND placed.position >= {LONGEST_LIST})"""  # noqa: S608  # a constant


@dataclass(frozen=True)
class Extent:
    """How many items a selection has, and some of them at random, by number."""

    count: int
    # Else projected from those in a slice of the ring: within about 1 % where most are taken.
    is_exact: bool
    some: list[int]
    # Lists that it would have beside them, if a judge could be shown so many responses.
    too_long: int


class Tally(NamedTuple):
    """Of a project's items, each time those of the ones before: where a selection loses them."""

    items: int
    of_its_kind: int
    usable: int
    short_enough: int
    chosen: int


class JudgeItems:
    """A selection of a project's items for one judge and purpose.

    `selection`: {"takes": "unlabeled"} or {"items": [1, 2]}; {"again": true} takes those that were
    asked in vain, or judged under an older protocol, instead of those that were not asked yet;
    {"limit": 100}.
    """

    def __init__(
        self,
        judge: Judge,
        project: Project,
        selection: Mapping[str, Any],
        *,
        purpose: str = "judge",
        run: int = 0,
        protocol: Protocol | None = None,
    ) -> None:
        self.selection = selection
        self.values: dict[str, Any] = {
            "project": project.pk,
            "judge": judge.pk,
            "purpose": purpose,
            "run": run,
            "protocol": (protocol or project.protocol).pk,
            "kinds": kinds_of(spec_of(judge)),
        }
        self.of_any_length = self._chosen(purpose)
        self.chosen = f"{self.of_any_length} AND NOT {_TOO_LONG}"
        self.where = f"{self.chosen} AND NOT {_TRIED}"

    def count(self, *, most: int | None = None) -> int:
        """Without its limit; no further than to `most`."""
        sql = f"SELECT count(*) FROM (SELECT 1 {self.where} LIMIT %(most)s) AS counted"  # noqa: S608
        return int(self._column(sql, most=most)[0])

    def page(self, after: int, size: int) -> list[int]:
        """The next ones by number."""
        sql = f"SELECT item.id {self.where} AND item.id > %(after)s ORDER BY item.id LIMIT %(size)s"
        return self._column(sql, after=after, size=size)

    def sample(self, size: int, *, seed: int | str = 0) -> list[int]:
        """So many of them at random, the same ones for the same seed."""
        start = random.Random(seed).randrange(RING)  # no secret
        found = self._slice(start, self._width(), size)
        if len(found) < size:
            found = self._slice(start, RING, size)
        return sorted(found)

    def extent(self, size: int) -> Extent:
        """Fast with a million items too: only where few are found are all looked through."""
        width = self._width()
        found = self._slice(0, width)
        if len(found) < size and width < RING:
            width, found = RING, self._slice(0, RING)
        some = random.Random(0).sample(found, min(size, len(found)))  # no secret
        count, too_long = (round(n * RING / width) for n in (len(found), self._too_long(width)))
        return Extent(count, width == RING, sorted(some), too_long)

    def tally(self) -> Tally:
        """What was asked before is counted too. Items by number are all that there are to it."""
        first, last = "TRUE", self._choice()
        if "items" in self.selection:
            first, last = last, first
        steps = (first, _OF_ITS_KIND, _USABLE, f"NOT {_TOO_LONG}", last)
        conditions = [" AND ".join(steps[: end + 1]) for end in range(len(steps))]
        counts = ", ".join(f"count(*) FILTER (WHERE {one})" for one in conditions)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {counts} {_ALL}", self.values)
            return Tally(*cursor.fetchone())

    def _width(self) -> int:
        """Of the slice that is looked through first; where items are few or numbered, of all."""
        if "items" in self.selection:
            return RING
        sql = "SELECT count(*) FROM annotation_item WHERE project_id = %(project)s"
        return min(RING, RING * LOOKED_THROUGH // max(1, self._column(sql)[0]))

    def _too_long(self, width: int) -> int:
        if LISTWISE not in self.values["kinds"]:
            return 0
        sql = f"SELECT count(*) {self.of_any_length} AND {_TOO_LONG} AND {_PLACE} < %(width)s"
        return self._column(sql, start=0, width=width)[0]

    def _slice(self, start: int, width: int, most: int | None = None) -> list[int]:
        sql = f"""SELECT item.id {self.where} AND {_PLACE} < %(width)s
            ORDER BY {_PLACE}, item.id LIMIT %(most)s"""
        return self._column(sql, start=start, width=width, most=most)

    def draw(self, size: int, *, seed: int) -> array[int]:
        """So many of them at random, prompts in turn, the same ones in the same order whenever the
        same run asks; what it has tried already counts and is left out."""
        sql = _DRAW.format(tried=_TRIED, chosen=self.chosen)
        with connection.cursor() as cursor:
            cursor.execute(sql, self.values | {"seed": seed, "size": size})
            # Eight bytes each: they may be a million.
            return array("q", (number for (number,) in cursor))

    def _chosen(self, purpose: str) -> str:
        again = self.selection.get("again")
        parts = [_FROM, _AGAIN if again else _NOT_YET, self._choice()]
        if purpose.startswith(("repeat", "canary")):
            parts.append(_ANSWERED_BY_JUDGE)
        return " AND ".join(parts)

    def _choice(self) -> str:
        takes = self.selection.get("takes", Takes.ALL)
        if "items" in self.selection:
            self.values["items"] = list(self.selection["items"])
            return "item.id = ANY(%(items)s)"
        if takes in _TAKES:
            return _TAKES[Takes(takes)]
        raise PrefloopError(
            f"A judge takes {', '.join(Takes.values)} or numbered items, not “{takes}”."
        )

    def _column(self, sql: str, **values: Any) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(sql, self.values | values)
            return [row[0] for row in cursor.fetchall()]
