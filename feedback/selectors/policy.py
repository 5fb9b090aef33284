"""What a policy would change, tried without writing anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count

from annotation.models import Annotator, Assignment, Project
from feedback.decisions import decide
from feedback.models import Policy, Preference
from feedback.selectors.preferences import count_by_state, preferences_of
from feedback.selectors.votes import load_votes, voted_kinds

State = Preference.State


@dataclass(frozen=True)
class Preview:
    """Decisions by state, now and under the policy that is tried."""

    before: dict[str, int]
    after: dict[str, int]

    @property
    def rows(self) -> list[tuple[str, int, int, int]]:
        return [
            (State(state).label, self.before[state], self.after[state],
             self.after[state] - self.before[state])
            for state in State.values
        ]  # fmt: skip

    @property
    def changes_something(self) -> bool:
        return self.before != self.after


def preview_policy(project: Project, policy: Policy) -> Preview:
    """A reviewer's word stands under any policy, and so do ties of equal texts."""
    fixed = preferences_of(project).exclude(adjudication=None)
    adjudicated = set(fixed.values_list("item_id", "criterion"))
    after: Counter[str] = Counter(fixed.values_list("state", flat=True))
    equal = preferences_of(project).filter(item__origin="identical")
    after.update(equal.values_list("state", flat=True))
    for kind, criterion in voted_kinds(project):
        votes = load_votes(project, kind, criterion, policy=policy)
        after.update(
            decision.state
            for decision in decide(votes, kind, policy)
            if (decision.item, criterion) not in adjudicated
        )
    before = count_by_state(project)
    # Items whose votes would all be left out wait.
    after[State.WAITING] += max(0, sum(before.values()) - sum(after.values()))
    return Preview(before, {state: after[state] for state in State.values})


@dataclass(frozen=True)
class Weighed:
    """An annotator of the project and how much they count."""

    annotator: Annotator
    judgments: int
    weight: float


def weighed_annotators(project: Project, policy: Policy) -> list[Weighed]:
    """Everybody whose judgments count in the project, most judgments first."""
    rows = (
        Assignment.objects.filter(
            item__project=project, occasion=Assignment.MAIN, state=Assignment.State.DONE
        )
        .values_list("annotator_id")
        .annotate(given=Count("pk"))
        .order_by("-given", "annotator_id")
    )
    counts = dict(rows)
    annotators = Annotator.objects.select_related("judge").in_bulk(list(counts))
    return [
        Weighed(annotators[key], judgments, float(policy.weights.get(str(key), 1)))
        for key, judgments in counts.items()
    ]
