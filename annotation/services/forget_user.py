"""Ends an account, for now or for good; what the person answered stays in both cases."""

from __future__ import annotations

from django.db import transaction

from annotation.models import (
    Assignment,
    Draft,
    Flag,
    GoldAnswer,
    Invitation,
    Judgment,
    JudgmentComment,
    Membership,
)
from annotation.services.release_lease import release_leases_of
from core.errors import PrefloopError
from core.forgetting import erases_words
from core.models import AuditEvent, User
from core.services.account import deactivate_user, erase_user
from core.services.audit import erase_trail, record_event


@transaction.atomic
def deactivate_person(*, user: User, actor: User) -> User:
    """Absent people hold nothing: their items go back to the queue at once."""
    deactivate_user(user=user, actor=actor)
    release_leases_of(user=user)
    return user


@transaction.atomic
def forget_user(*, user: User, actor: User, confirmation: str) -> User:
    """Name, e-mail, log-ins and free text go; the pseudonym and the answers stay.

    `confirmation` is the username, typed: this cannot be undone.
    """
    if confirmation.strip().lower() != user.username.lower():
        raise PrefloopError(
            f"Type the username {user.username} to confirm. Nothing was erased.",
            field="confirmation",
        )
    names = {user.username[:100], str(user)[:100]}
    erase_user(user=user, actor=actor)
    release_leases_of(user=user)
    _leave(user, actor)
    # Whose known answer it was; the trail has their number.
    GoldAnswer.objects.filter(source__in=names).update(source="")
    return user


def _leave(user: User, actor: User) -> None:
    """What managers wrote about somebody is about somebody, too."""
    memberships = Membership.objects.filter(user=user)
    for membership in memberships.exclude(state=Membership.State.LEFT):
        record_event(
            actor=actor,
            action="remove_member",
            target=membership,
            project_id=membership.project_id,
            detail={"user": user.pk},
        )
    memberships.update(state=Membership.State.LEFT, state_reason="")
    about = [str(pk) for pk in memberships.values_list("pk", flat=True)]
    kind = Membership._meta.label_lower
    erase_trail(AuditEvent.objects.filter(target_type=kind, target_id__in=about))


@erases_words
def erase_what_was_said(user: User) -> None:
    own = Assignment.objects.filter(annotator__user=user)
    Draft.objects.filter(assignment__in=own).delete()
    Flag.objects.filter(assignment__in=own).update(note="")
    own.exclude(skip_reason="").update(skip_reason="")
    judgments = Judgment.objects.filter(assignment__in=own)
    JudgmentComment.objects.filter(judgment__in=judgments).delete()
    Invitation.objects.filter(created_by=user).update(note="")
    _erase_reasons_by(user)


def _erase_reasons_by(user: User) -> None:
    """A membership keeps the reason of its last move; the trail tells who gave it."""
    moves = AuditEvent.objects.filter(
        actor=user, target_type=Membership._meta.label_lower, detail__has_key="reason"
    )
    given: dict[int, set[str]] = {}
    for number, reason in moves.values_list("target_id", "detail__reason"):
        given.setdefault(int(number), set()).add(str(reason)[:200])
    for membership in Membership.objects.filter(pk__in=given).exclude(state_reason=""):
        if membership.state_reason in given[membership.pk]:
            Membership.objects.filter(pk=membership.pk).update(state_reason="")
