"""What the policy makes of an import's items, by the report that the import left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotation.models import Project
from feedback.models import Policy
from feedback.selectors.votes import believed_answers


@dataclass(frozen=True)
class Undecided:
    """Counts of closed items that are never decided as they are: with fewer judgments that count
    than the policy waits for, and with verdicts of judges alone, of which none counts."""

    too_few: int = 0
    unheard: int = 0


def undecided_imports(
    project: Project, policy: Policy, groups: Iterable[Mapping[str, Any]]
) -> Undecided:
    """`groups` are the report's closed items. A judge counts on kinds that its gate is open for."""
    believed = believed_answers(project) if policy.count_judges else set()
    heard = {(judge, kind) for judge, kind, _ in believed}
    too_few = unheard = 0
    for one in groups:
        # Reports of older imports name no judges.
        judges = one.get("judge_ids", [])
        counted = one["people"] + sum((judge, one["kind"]) in heard for judge in judges)
        if not counted and judges:
            unheard += one["items"]
        elif counted < policy.min_judgments:
            too_few += one["items"]
    return Undecided(too_few, unheard)
