"""Items on which a judge answers otherwise than the people who judged them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Q

from annotation.models import Annotator, Item, Judge, Project
from annotation.services.item import MOST_OVERLAP
from feedback.disagreement import measure
from feedback.selectors.votes import load_votes, voted_kinds
from feedback.services.policy import current_policy

# At a time.
MOST_MORE = 5


@dataclass(frozen=True)
class Opposed:
    """`items` can be put to more people, those furthest apart first; `all` counts the rest too."""

    all: int
    items: list[int]

    @property
    def left_out(self) -> int:
        return self.all - len(self.items)


def opposed_items(project: Project, judge: Judge) -> Opposed:
    """The judge against the majority of people, on any criterion."""
    apart: dict[int, float] = {}
    annotator = Annotator.objects.filter(judge=judge).values_list("pk", flat=True).first()
    policy = current_policy(project)
    for kind, criterion in voted_kinds(project):
        votes = load_votes(project, kind, criterion, every_judge=True)
        left_out = [int(key) for key, weight in policy.weights.items() if weight == 0]
        mine = votes.is_judge & (votes.annotator == annotator)
        people = ~votes.is_judge & ~np.isin(votes.annotator, left_out)
        votes = votes.only((mine | people) & np.isin(votes.item, votes.item[mine]))
        if not len(votes):
            continue
        items, unit = np.unique(votes.item, return_inverse=True)
        found = measure(votes, ~votes.is_judge, unit.astype(np.int64), len(items), kind)
        for place in np.flatnonzero(found.judges_oppose).tolist():
            item, far = int(items[place]), float(found.with_judges[place])
            apart[item] = max(far, apart.get(item, 0.0))
    return Opposed(len(apart), _askable(apart))


def _askable(apart: dict[int, float]) -> list[int]:
    """Nobody is asked twice as many because somebody pressed twice: what has open slots waits."""
    rows = Item.objects.filter(
        Q(open_slots=0) | Q(closed_at__isnull=False),
        pk__in=list(apart), overlap__lte=MOST_OVERLAP - MOST_MORE, held_at=None, is_gold=False,
    )  # fmt: skip
    found = rows.values_list("pk", flat=True)
    return sorted(found, key=lambda item: (-apart[item], item))
