"""The people of the instance, as its admins see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Greatest

from annotation.models import Annotator, Assignment, Membership
from core.models import ApiToken, User

SHOWN_ROLES = 2


@dataclass(frozen=True)
class Person:
    user: User
    last_seen: datetime | None
    memberships: list[Membership]

    @property
    def shown(self) -> list[Membership]:
        return self.memberships[:SHOWN_ROLES]

    @property
    def more(self) -> int:
        return max(0, len(self.memberships) - SHOWN_ROLES)


def everybody(search: str = "") -> QuerySet[User]:
    """Who may sign in first, then by name; `seen_at` is the last sign of life."""
    people = User.objects.filter(
        Q(username__icontains=search) | Q(name__icontains=search) | Q(email__icontains=search)
    )
    answers = Assignment.objects.filter(annotator__user=OuterRef("pk"))
    tokens = ApiToken.objects.filter(user=OuterRef("pk")).order_by()
    return people.annotate(
        seen_at=Greatest(
            "last_login",
            Subquery(
                answers.filter(finished_at__isnull=False)
                .order_by("-finished_at")
                .values("finished_at")[:1]
            ),
            Subquery(tokens.values("user").annotate(at=Max("last_used_at")).values("at")),
        )
    ).order_by("-is_active", "username")


def with_memberships(users: Sequence[User]) -> list[Person]:
    """One query for all of them; projects that they left are left out."""
    found: dict[int, list[Membership]] = {user.pk: [] for user in users}
    memberships = (
        Membership.objects.filter(user__in=users, project__archived_at=None)
        .exclude(state=Membership.State.LEFT)
        .select_related("project")
        .order_by("project__name")
    )
    for membership in memberships:
        found[membership.user_id].append(membership)
    return [Person(user, getattr(user, "seen_at", None), found[user.pk]) for user in users]


def only_manager_of(user: User) -> list[Membership]:
    """Where nobody else may add people or change settings."""
    active = Membership.objects.filter(
        role=Membership.Role.MANAGER, state=Membership.State.ACTIVE, user__is_active=True
    )
    others = active.filter(project=OuterRef("project")).exclude(user=user)
    own = active.filter(user=user, project__archived_at=None).select_related("project")
    return [one for one in own.annotate(other=Subquery(others.values("pk")[:1])) if not one.other]


def answers_of(user: User) -> int:
    annotator = Annotator.objects.filter(user=user).first()
    return annotator.assignments.filter(current__isnull=False).count() if annotator else 0
