from __future__ import annotations

import pytest

from annotation.access import Capability, capabilities
from annotation.models import Membership, Project
from annotation.services.membership import (
    pause_member,
    remove_member,
    restore_member,
    set_membership,
)
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent
from tests.cast import Cast, make_project, make_user
from tests.races import in_threads

State = Membership.State


def membership(cast: Cast, user) -> Membership:
    return Membership.objects.get(project=cast.project, user=user)


def test_a_stranger_is_added(cast: Cast) -> None:
    set_membership(project=cast.project, user=cast.mallory, role="reviewer", actor=cast.mary)
    assert Capability.ADJUDICATE in capabilities(cast.mallory, cast.project)
    event = AuditEvent.objects.get(action="set_membership")
    assert event.detail == {"user": cast.mallory.pk, "role": "reviewer"}


def test_a_role_changes_and_the_same_again_changes_nothing(cast: Cast) -> None:
    for _ in range(2):
        set_membership(project=cast.project, user=cast.bob, role="researcher", actor=cast.mary)
    assert membership(cast, cast.bob).role == "researcher"
    assert AuditEvent.objects.filter(action="set_membership").count() == 1


def test_unknown_roles_and_inactive_people_are_refused(cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="role"):
        set_membership(project=cast.project, user=cast.bob, role="owner", actor=cast.mary)
    gone = make_user("gone", is_active=False)
    with pytest.raises(PrefloopError, match="not active"):
        set_membership(project=cast.project, user=gone, role="labeler", actor=cast.mary)


def test_a_paused_person_sees_the_project_and_may_do_nothing(cast: Cast) -> None:
    paused = pause_member(membership=membership(cast, cast.bob), actor=cast.mary, reason="Rest")
    assert (paused.state, paused.state_reason) == (State.PAUSED, "Rest")
    assert Project.objects.visible_to(cast.bob).exists()
    assert capabilities(cast.bob, cast.project) == frozenset()
    restored = restore_member(membership=paused, actor=cast.mary)
    assert (restored.state, restored.state_reason) == (State.ACTIVE, "")
    assert Capability.JUDGE in capabilities(cast.bob, cast.project)


def test_a_new_role_does_not_end_a_pause(cast: Cast) -> None:
    pause_member(membership=membership(cast, cast.bob), actor=cast.mary)
    set_membership(project=cast.project, user=cast.bob, role="reviewer", actor=cast.mary)
    assert membership(cast, cast.bob).state == State.PAUSED


def test_who_was_removed_sees_nothing_and_can_be_taken_back(cast: Cast) -> None:
    remove_member(membership=membership(cast, cast.bob), actor=cast.mary)
    assert not Project.objects.visible_to(cast.bob).exists()
    set_membership(project=cast.project, user=cast.bob, role="labeler", actor=cast.mary)
    again = membership(cast, cast.bob)
    # Else a pause rule would end it with the first answer.
    assert (again.state, again.restored_at is not None) == (State.ACTIVE, True)


def test_doing_it_twice_changes_nothing_more(cast: Cast) -> None:
    for _ in range(2):
        pause_member(membership=membership(cast, cast.bob), actor=cast.mary)
    assert AuditEvent.objects.filter(action="pause_member").count() == 1


def test_who_has_left_can_be_neither_paused_nor_restored(cast: Cast) -> None:
    left = remove_member(membership=membership(cast, cast.bob), actor=cast.mary)
    with pytest.raises(Conflict):
        pause_member(membership=left, actor=cast.mary)
    with pytest.raises(Conflict):
        restore_member(membership=left, actor=cast.mary)


@pytest.mark.parametrize("act", [pause_member, remove_member])
def test_the_only_manager_stays(cast: Cast, act) -> None:
    with pytest.raises(Conflict, match="only manager"):
        act(membership=membership(cast, cast.mary), actor=cast.ada)
    with pytest.raises(Conflict, match="only manager"):
        set_membership(project=cast.project, user=cast.mary, role="labeler", actor=cast.ada)


@pytest.mark.django_db(transaction=True)
def test_two_managers_cannot_remove_each_other() -> None:
    project = make_project()
    pair = [
        Membership.objects.create(project=project, user=make_user(name), role="manager")
        for name in ("mary", "mona")
    ]
    results = in_threads(
        2, lambda i: remove_member(membership=pair[1 - i], actor=pair[i].user).state
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert project.memberships.filter(state=State.ACTIVE).count() == 1
