"""What a paused person is told: what happened, and whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.models import Membership
from core.models import AuditEvent


@dataclass(frozen=True)
class Pause:
    """`managers`: the names of those who can restore the person."""

    reason: str
    by_rule: bool
    managers: list[str]


def pause_of(membership: Membership) -> Pause | None:
    """None for who is not paused."""
    if membership.state != Membership.State.PAUSED:
        return None
    event = (
        AuditEvent.objects.filter(
            target_type=Membership._meta.label_lower,
            target_id=str(membership.pk),
            action="pause_member",
        )
        .order_by("at", "pk")
        .last()
    )
    managers = Membership.objects.filter(
        project=membership.project_id,
        role=Membership.Role.MANAGER,
        state=Membership.State.ACTIVE,
    ).select_related("user")
    return Pause(
        reason=membership.state_reason,
        by_rule=event is not None and event.actor_id is None,
        managers=sorted(str(one.user) for one in managers),
    )
