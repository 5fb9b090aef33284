"""Votes become preferences: rows are added where something changed, and the newest wins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from psycopg.types.json import Jsonb

from annotation.models import Item, Project
from core.bulk import copy_rows
from feedback.decisions import Decision, decide, overruled
from feedback.models import Adjudication, Policy, Preference, Resolution, StaleItem
from feedback.selectors.preferences import stale_of
from feedback.selectors.votes import load_votes, voted_kinds
from feedback.services.policy import current_policy, lock_resolution

State = Preference.State
CHUNK = 5_000
# Dawid-Skene moves every probability a little with every vote; less than this is no news.
NEWS = 0.01
FIELDS = (
    "item", "criterion", "policy", "adjudication", "state", "outcome", "probabilities",
    "agreement", "support_people", "support_judges", "judgment_ids", "is_newest", "created_at",
    "cause", "disagreement",
)  # fmt: skip


@dataclass
class ResolvedCounts:
    """`states`: the decisions made, by state; `changed`: how many of them were news."""

    states: Counter[str] = field(default_factory=Counter)
    changed: int = 0


@transaction.atomic
def resolve_items(*, project: Project, item_ids: Sequence[int] | None = None) -> ResolvedCounts:
    """Decide about these items, or about all of the project."""
    resolution = lock_resolution(project)
    # Read before the votes: what is judged from here on stays for the next time.
    stale = stale_of(project)
    if item_ids is not None:
        stale = stale.filter(item_id__in=item_ids)
    seen = list(stale.values_list("pk", flat=True))
    policy = current_policy(project)
    # Under Dawid-Skene one vote bears on every item, and so does another policy.
    is_new = resolution.policy_id not in (None, policy.pk)
    everywhere = is_new or policy.aggregation == Policy.Aggregation.DAWID_SKENE
    counts = _Resolver(project, policy, None if everywhere else item_ids).resolve()
    StaleItem.objects.filter(pk__in=seen).delete()
    if seen or resolution.policy_id != policy.pk:
        resolution.judged_at = timezone.now()
    resolution.policy, resolution.resolved_at = policy, timezone.now()
    resolution.save()
    return counts


def resolve_stale(*, project: Project) -> ResolvedCounts:
    """Decide about the items that were judged since they were last decided about.

    About all of them when the policy has changed since: its job may not have run yet, and a
    snapshot must not be frozen by a rule that is no longer in force.
    """
    if is_resolved(project):
        return ResolvedCounts()
    items = set(stale_of(project).values_list("item_id", flat=True))
    return resolve_items(project=project, item_ids=sorted(items))


def is_resolved(project: Project) -> bool:
    """Whether every judgment is decided about, by the policy in force."""
    by_another = Resolution.objects.filter(project=project).exclude(policy=None)
    changed = by_another.exclude(policy=current_policy(project))
    return not (stale_of(project).exists() or changed.exists())


@dataclass
class _Resolver:
    """One pass over a project (`scope` None) or over some of its items."""

    project: Project
    policy: Policy
    scope: Sequence[int] | None
    counts: ResolvedCounts = field(default_factory=ResolvedCounts)
    decided: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def resolve(self) -> ResolvedCounts:
        for kind, criterion in voted_kinds(self.project, self.scope):
            votes = load_votes(
                self.project, kind, criterion, policy=self.policy, item_ids=self.scope
            )
            self._save(decide(votes, kind, self.policy), criterion)
        self._return_to_waiting()
        self._tie_identical()
        return self.counts

    def _save(self, decisions: Iterable[Decision], criterion: str) -> None:
        iterator = iter(decisions)
        while chunk := list(islice(iterator, CHUNK)):
            ids = [decision.item for decision in chunk]
            self.decided[criterion].update(ids)
            words = _adjudications(ids, criterion)
            final = [overruled(decision, words.get(decision.item)) for decision in chunk]
            self._append_news(final, criterion)

    def _append_news(self, decisions: Sequence[Decision], criterion: str) -> None:
        ids = [decision.item for decision in decisions]
        newest = Preference.objects.newest().filter(item_id__in=ids, criterion=criterion)
        standing = {row.item_id: row for row in newest}
        news = [decision for decision in decisions if _is_news(decision, standing)]
        self.counts.states.update(decision.state for decision in decisions)
        self.counts.changed += len(news)
        old = [standing[decision.item].pk for decision in news if decision.item in standing]
        Preference.objects.filter(pk__in=old).update(is_newest=False)
        now = timezone.now()
        rows = (_row(decision, criterion, self.policy, now) for decision in news)
        copy_rows(Preference, FIELDS, rows)

    def _return_to_waiting(self) -> None:
        """Items whose votes count no longer wait again; a reviewer's word stands."""
        standing = Preference.objects.newest().filter(item__project=self.project, adjudication=None)
        if self.scope is not None:
            standing = standing.filter(item_id__in=self.scope)
        rested: dict[str, list[Decision]] = defaultdict(list)
        on_votes = standing.exclude(judgment_ids=[]).values_list("item_id", "criterion")
        for item, criterion in on_votes.iterator():
            if item not in self.decided[criterion]:
                rested[criterion].append(Decision(item, State.WAITING))
        for criterion, decisions in rested.items():
            self._append_news(decisions, criterion)

    def _tie_identical(self) -> None:
        """Equal texts are a tie that nobody needs to judge."""
        decided = Preference.objects.newest().filter(item=OuterRef("pk"))
        items = Item.objects.filter(project=self.project, origin=Item.Origin.IDENTICAL)
        fresh = list(items.filter(~Exists(decided)).values_list("pk", flat=True))
        if not fresh:
            return
        tie = {"strength": 0.0, "both_bad": False}
        for criterion in self.project.protocol.criterion_keys:
            self._append_news([Decision(item, State.TIED, tie, [0.5]) for item in fresh], criterion)


def _adjudications(item_ids: Sequence[int], criterion: str) -> dict[int, Adjudication]:
    """The last word on each item."""
    rows = Adjudication.objects.filter(item_id__in=item_ids, criterion=criterion).order_by("pk")
    return {row.item_id: row for row in rows}


def _is_news(decision: Decision, standing: dict[int, Preference]) -> bool:
    row = standing.get(decision.item)
    return (
        row is None
        or row.state != decision.state
        or row.outcome != decision.outcome
        or row.judgment_ids != decision.judgments
        or row.adjudication_id != decision.adjudication
        or row.cause != decision.cause
        or _has_moved(row, decision)
    )


def _has_moved(row: Preference, decision: Decision) -> bool:
    before, after = list(row.probabilities), list(decision.probabilities)
    if len(before) != len(after) or (row.agreement is None) != (decision.agreement is None):
        return True
    before += [row.agreement or 0.0, row.disagreement or 0.0]
    after += [decision.agreement or 0.0, decision.disagreement or 0.0]
    return any(abs(old - new) >= NEWS for old, new in zip(before, after, strict=True))


def _row(decision: Decision, criterion: str, policy: Policy, now: datetime) -> tuple[Any, ...]:
    """In the order of FIELDS."""
    return (
        decision.item,
        criterion,
        policy.pk,
        decision.adjudication,
        decision.state,
        Jsonb(decision.outcome),
        decision.probabilities,
        decision.agreement,
        decision.people,
        decision.judges,
        decision.judgments,
        True,
        now,
        decision.cause,
        decision.disagreement,
    )
