"""People in a project: their role, and whether they may work."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation.messages import storable
from annotation.models import Membership, Project
from annotation.services.release_lease import release_all_leases
from core.errors import Conflict, PrefloopError
from core.models import User
from core.services.audit import record_event

State = Membership.State


@transaction.atomic
def set_membership(*, project: Project, user: User, role: str, actor: User) -> Membership:
    """Adds the person, changes the role, or takes somebody back who had left."""
    if role not in Membership.Role.values:
        raise PrefloopError(
            f"The role is one of {', '.join(Membership.Role.values)}.", field="role"
        )
    if not user.is_active:
        raise PrefloopError(f"The account of {user} is not active.", field="user")
    _lock(project)
    membership = Membership.objects.filter(project=project, user=user).first()
    if membership is None:
        membership = Membership.objects.create(project=project, user=user, role=role)
    elif (membership.role, membership.state) == (role, State.ACTIVE):
        return membership
    else:
        if role != Membership.Role.MANAGER:
            _keep_a_manager(membership)
        left = membership.state == State.LEFT
        membership.role = role
        membership.state = State.ACTIVE if left else membership.state
        membership.state_reason = "" if left else membership.state_reason
        # To take somebody back is a decision as well: pause rules let the past rest.
        membership.restored_at = timezone.now() if left else membership.restored_at
        membership.save(update_fields=["role", "state", "state_reason", "restored_at"])
    _record(membership, actor, "set_membership", role=role)
    return membership


@transaction.atomic
def pause_member(*, membership: Membership, actor: User | None, reason: str = "") -> Membership:
    """The person sees the project, may do nothing in it until restored, and holds no item.

    Without an actor it was a pause rule.
    """
    return _move(membership, actor, "pause_member", [State.ACTIVE], State.PAUSED, reason)


@transaction.atomic
def restore_member(*, membership: Membership, actor: User | None) -> Membership:
    """Pause rules look only at what the person does from now on."""
    return _move(membership, actor, "restore_member", [State.PAUSED], State.ACTIVE, "")


@transaction.atomic
def remove_member(*, membership: Membership, actor: User, reason: str = "") -> Membership:
    """The person no longer sees the project; their judgments stay."""
    stays = [State.ACTIVE, State.PAUSED]
    return _move(membership, actor, "remove_member", stays, State.LEFT, reason)


def _move(
    membership: Membership,
    actor: User | None,
    action: str,
    before: list[Membership.State],
    after: Membership.State,
    reason: str,
) -> Membership:
    """To `after`, when it is in one of `before`; being there already changes nothing."""
    reason = storable(reason, "reason")
    _lock(membership.project)
    membership.refresh_from_db()
    if membership.state == after:
        return membership
    if after != State.ACTIVE:
        _keep_a_manager(membership)
    restored_at = timezone.now() if after == State.ACTIVE else membership.restored_at
    moved = Membership.objects.filter(pk=membership.pk, state__in=before).update(
        state=after, state_reason=reason[:200], restored_at=restored_at
    )
    if not moved:
        raise Conflict(f"{membership.user} is {membership.state}. Reload the page.")
    if after != State.ACTIVE:
        release_all_leases(membership=membership)
    membership.refresh_from_db()
    _record(membership, actor, action, reason=reason)
    return membership


def _lock(project: Project) -> None:
    """Changes of people wait for each other, so that two managers cannot remove one another."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _keep_a_manager(membership: Membership) -> None:
    if membership.role != Membership.Role.MANAGER or membership.state != State.ACTIVE:
        return
    others = Membership.objects.filter(
        project=membership.project, role=Membership.Role.MANAGER, state=State.ACTIVE
    ).exclude(pk=membership.pk)
    if not others.exists():
        raise Conflict("This is the project's only manager. Make somebody else a manager first.")


def _record(membership: Membership, actor: User | None, action: str, **detail: str) -> None:
    record_event(
        actor=actor,
        action=action,
        target=membership,
        project_id=membership.project_id,
        detail={"user": membership.user_id, **{k: v for k, v in detail.items() if v}},
    )
