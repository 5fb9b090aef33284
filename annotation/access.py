"""What each role may do in a project, and the one way by which views load a project.

Who may not see a project gets 404; who may see it but not do this gets 403.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import BigIntegerField, F, FilteredRelation, Q
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from annotation.models import Membership, Project
from annotation.models.project import ProjectQuerySet
from core.access import View, declare
from core.compiled import Compiled, Slot
from core.errors import NotAllowed
from core.models import User

Role = Membership.Role


class Capability(StrEnum):
    JUDGE = "judge"
    ADJUDICATE = "adjudicate"
    RESEARCH = "import, measure, freeze and export"
    MANAGE = "manage people and settings"
    # Held by admins of the instance alone.
    TRAIN = "train and promote models"


MAY: dict[str, frozenset[Capability]] = {
    Role.LABELER: frozenset({Capability.JUDGE}),
    Role.REVIEWER: frozenset({Capability.JUDGE, Capability.ADJUDICATE}),
    Role.RESEARCHER: frozenset({Capability.JUDGE, Capability.ADJUDICATE, Capability.RESEARCH}),
    Role.MANAGER: frozenset(Capability) - {Capability.TRAIN},
}


def capabilities(user: User, project: Project) -> frozenset[Capability]:
    """Empty for a stranger. A paused member sees the project and may do nothing in it."""
    membership = project.memberships.filter(user_id=user.pk).first()
    return _may(user, membership.role, membership.state) if membership else _may(user, None, None)


def _may(user: User, role: str | None, state: str | None) -> frozenset[Capability]:
    if user.is_admin:
        return frozenset(Capability)
    return MAY[role] if role and state == Membership.State.ACTIVE else frozenset()


def _with_role(projects: ProjectQuerySet, user: Slot, project: Slot) -> ProjectQuerySet:
    own = FilteredRelation("memberships", condition=Q(memberships__user=user))
    roles = {"own_role": F("own__role"), "own_state": F("own__state")}
    return projects.filter(pk=project).annotate(own=own).annotate(**roles).order_by()


def _members(user: Slot, project: Slot) -> ProjectQuerySet:
    return _with_role(Project.objects.of_member(user), user, project)


def _admins(user: Slot, project: Slot) -> ProjectQuerySet:
    return _with_role(Project.objects.all(), user, project)


# Every page of a project begins with one of these.
MEMBERS = Compiled(_members, user=BigIntegerField(), project=BigIntegerField())
ADMINS = Compiled(_admins, user=BigIntegerField(), project=BigIntegerField())


def load_project(user: User, project_id: int, needed: Capability | None) -> Project:
    seen = ADMINS if user.is_admin else MEMBERS
    # A number that no column can hold is nobody's.
    known = project_id < 2**63
    project = seen.first(user=user.pk, project=project_id) if known else None
    if project is None:
        raise Http404
    project.may = _may(user, project.own_role, project.own_state)
    if needed is not None and needed not in project.may:
        if project.own_state == Membership.State.PAUSED:
            raise NotAllowed(
                f"Your work in “{project}” is paused, so this was not done. "
                "Open the project to read why, and whom to ask."
            )
        raise NotAllowed(_refusal(project, needed))
    return project


def _refusal(project: Project, needed: Capability) -> str:
    """Names who may, and who can grant it."""
    roles = [Role(role).label.lower() + "s" for role, may in MAY.items() if needed in may]
    if not roles:
        return f"Only admins of this instance may {needed}, here in “{project}” too. Ask one."
    listed = " and ".join(filter(None, [", ".join(roles[:-1]), roles[-1]]))
    return (
        f"This is for {listed} of “{project}”, and you are not one of them. "
        "Ask a manager of the project."
    )


def project_view(
    needed: Capability | None,
) -> Callable[[View], View]:
    """For routes with <int:project_id>: the view gets the loaded project in its place.

    `needed=None`: whoever sees the project may see the page. `project.may` holds what the user
    may do.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, project_id: int, **kwargs: Any) -> HttpResponseBase:
            project = load_project(request.user, project_id, needed)  # type: ignore[arg-type]
            return view(request, project=project, **kwargs)

        return declare(login_required(guarded), f"project: {needed or 'member'}")

    return decorate
