"""Rules that pause a labeler by what gold and clocks say; only a person restores them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from annotation.models import Membership, PauseRule, Project
from annotation.pause_signals import Signal, breaks, reason
from annotation.selectors.signals import lately_active, measure
from annotation.services.membership import pause_member
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event


@dataclass(frozen=True)
class RuleValues:
    """`threshold` is a share between 0 and 1, or seconds."""

    threshold: float
    window: int


@transaction.atomic
def set_pause_rules(
    *, project: Project, actor: User, rules: Mapping[str, RuleValues]
) -> list[PauseRule]:
    """At most one rule for each signal; a signal that is left out has none."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    wanted = [_checked(project, signal, rules[signal]) for signal in sorted(rules)]
    before = _as_detail(project.pause_rules.order_by("signal"))
    if _as_detail(wanted) != before:
        project.pause_rules.all().delete()
        PauseRule.objects.bulk_create(wanted)
        record_event(
            actor=actor,
            action="set_pause_rules",
            target=project,
            project_id=project.pk,
            detail={"before": before, "rules": _as_detail(wanted)},
        )
    return list(project.pause_rules.order_by("signal"))


def _checked(project: Project, signal: str, values: RuleValues) -> PauseRule:
    if signal not in Signal.values:
        raise PrefloopError(f"A pause rule looks at one of {', '.join(Signal.values)}.")
    if signal != Signal.SPEED and not 0 <= values.threshold <= 1:
        raise PrefloopError("The limit is a share between 0 and 100 %.", field=signal)
    rule = PauseRule(
        project=project, signal=signal, threshold=values.threshold, window=values.window
    )
    try:
        rule.clean_fields(exclude=["project"])
    except ValidationError as error:
        name, problems = next(iter(error.message_dict.items()))
        raise PrefloopError(f"{name}: {problems[0]}", field=signal) from error
    return rule


def _as_detail(rules: Iterable[PauseRule]) -> dict[str, list[float]]:
    return {rule.signal: [rule.threshold, rule.window] for rule in rules}


def apply_pause_rules(*, project: Project) -> list[Membership]:
    """Those whom it paused, of the members who have answered in the last two minutes."""
    rules = list(project.pause_rules.order_by("signal"))
    if not rules:
        return []
    found = (_apply(membership, rules) for membership in lately_active(project))
    return [membership for membership in found if membership is not None]


def _apply(membership: Membership, rules: list[PauseRule]) -> Membership | None:
    if _broken(membership, rules) is None:
        return None
    try:
        return _pause(membership, rules)
    except Conflict:
        # The only manager stays, and so does who was removed in this very moment.
        return None


@transaction.atomic
def _pause(membership: Membership, rules: list[PauseRule]) -> Membership | None:
    """Under the lock that a manager's decision takes, for one may just have restored them."""
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    membership.refresh_from_db()
    words = _broken(membership, rules)
    if words is None or membership.state != Membership.State.ACTIVE:
        return None
    return pause_member(membership=membership, actor=None, reason=words)


def _broken(membership: Membership, rules: list[PauseRule]) -> str | None:
    for rule in rules:
        measured = measure(rule.signal, membership, rule.window)
        if breaks(rule, measured):
            return reason(rule, measured)
    return None
