"""What would be decided otherwise under another policy: computed twice, nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np

from annotation.models import Kind, Project
from feedback.decisions import Decision, decide
from feedback.models import Policy, Preference
from feedback.outcome_words import outcome_words
from feedback.progress import ShowsProgress
from feedback.selectors.agreement import criterion_names
from feedback.selectors.preferences import preferences_of
from feedback.selectors.votes import Votes, load_votes, voted_kinds, weighed
from feedback.statistics.agreement import agreement_change
from feedback.statistics.arrays import Booleans, Integers
from feedback.statistics.ballots import Kind as StatisticsKind

State = Preference.State
# Items that are listed one by one; all are counted.
LISTED = 100


@dataclass
class Change:
    """Counts of decisions by state before and after, and what moves between them.

    `flips` are decided before and after, for different responses. `items` lists some of what
    changes, flips first. Plain values, so that a job can keep it.
    """

    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    flips: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    agreement: list[dict[str, Any]] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        changed = sum(self.moves.values()) + self.flips
        items = sorted(self.items, key=lambda one: (not one["is_flip"], one["item"]))
        return {
            "states": [
                (State(state).label, self.before[state], self.after[state])
                for state in State.values
                if self.before[state] or self.after[state]
            ],
            "moves": [
                (State(old).label, State(new).label, count)
                for (old, new), count in self.moves.most_common()
            ],
            "flips": self.flips,
            "changed": changed,
            "decisions": sum(self.before.values()),
            "items": items[:LISTED],
            "agreement": self.agreement,
        }


def preview_change(
    project: Project, old: Policy, new: Policy, *, context: ShowsProgress | None = None
) -> dict[str, Any]:
    """A reviewer's word stands under any policy, so those items are left out."""
    fixed = preferences_of(project).exclude(adjudication=None)
    settled = set(fixed.values_list("item_id", "criterion"))
    names = criterion_names(project)
    change = Change()
    parts = voted_kinds(project)
    for done, (kind, criterion) in enumerate(parts):
        if context is not None:
            context.progress(done=done, total=len(parts), message=f"Trying {kind}, {criterion}")
        votes = load_votes(project, kind, criterion)
        name = f"{names.get(criterion, criterion)}, {Kind(kind).label.lower()}"
        for before, after in _pairs(votes, kind, old, new):
            if (before.item, criterion) not in settled:
                _compare(change, before, after, name)
        change.agreement += _agreement(votes, kind, old, new, name)
    return change.as_record()


def _pairs(
    votes: Votes, kind: str, old: Policy, new: Policy
) -> Iterator[tuple[Decision, Decision]]:
    """Both decisions about each item; an item whose votes do not count any more waits."""
    after = {one.item: one for one in decide(weighed(votes, new), kind, new)}
    for before in decide(weighed(votes, old), kind, old):
        yield before, after.pop(before.item, Decision(before.item, State.WAITING))
    for item, decision in after.items():
        yield Decision(item, State.WAITING), decision


def _compare(change: Change, before: Decision, after: Decision, name: str) -> None:
    change.before[before.state] += 1
    change.after[after.state] += 1
    is_flip = before.state == after.state == State.ACCEPTED and _winner(before) != _winner(after)
    if before.state != after.state:
        change.moves[before.state, after.state] += 1
    elif is_flip:
        change.flips += 1
    else:
        return
    if is_flip or len(change.items) < LISTED:
        change.items.append({
            "item": before.item,
            "criterion": name,
            "is_flip": is_flip,
            "before": (State(before.state).label, outcome_words(before.state, before.outcome)),
            "after": (State(after.state).label, outcome_words(after.state, after.outcome)),
        })  # fmt: skip


def _winner(decision: Decision) -> Any:
    """What must be equal for two decisions to say the same: the side, the thumb, the order."""
    outcome = decision.outcome
    if "strength" in outcome:
        return outcome["strength"] > 0
    return outcome.get("thumb", outcome.get("ranks"))


def _agreement(
    votes: Votes, kind: str, old: Policy, new: Policy, name: str
) -> list[dict[str, Any]]:
    """Agreement counts everybody alike who is not left out; a weight alone changes nothing."""
    people = votes.only(~votes.is_judge)
    if not len(people):
        return []
    table, annotators = people.table()
    before, after = (_counts(annotators, policy)[table.rater] for policy in (old, new))
    found = agreement_change(table, before, after, kind=cast("StatisticsKind", kind))
    return [
        {
            "name": name,
            "figure": figure,
            **{
                part: {key: estimate[key] for key in ("value", "low", "high", "reason")}
                for part, estimate in asdict(one).items()
            },
        }
        for figure, one in found.items()
    ]


def _counts(annotators: Integers, policy: Policy) -> Booleans:
    """Who is not left out."""
    weights = [float(policy.weights.get(str(one), 1)) for one in annotators.tolist()]
    return np.array(weights) > 0
