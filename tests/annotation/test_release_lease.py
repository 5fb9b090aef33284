from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.models import Assignment, Membership
from annotation.services.claim_item import claim_item
from annotation.services.membership import pause_member, remove_member
from annotation.services.release_lease import release_lease
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict
from core.models import AuditEvent, User
from tests.cast import Cast, make_item, make_project
from tests.races import in_threads

State = Assignment.State


def claimed(cast: Cast, user: User) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def answer(assignment: Assignment, key: str = "late") -> None:
    submit_judgment(
        assignment=assignment, client_key=key, answers={"overall": AnswerValue(strength=1)}
    )


def test_a_released_item_is_free_at_once(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    held = claimed(cast, cast.bob)
    assert claim_item(project=cast.project, user=cast.lena) is None
    for _ in range(2):
        released = release_lease(assignment=held, actor=cast.mary)
        assert (released.state, released.lease_expires_at) == (State.EXPIRED, None)
    event = AuditEvent.objects.get(action="release_lease")
    assert event.detail == {"item": item.pk, "annotator": held.annotator_id}
    assert claimed(cast, cast.lena).item == item


def test_a_late_answer_is_kept_and_counted_while_the_slot_is_free(cast: Cast) -> None:
    make_item(cast.project, overlap=1)
    held = claimed(cast, cast.bob)
    release_lease(assignment=held, actor=cast.mary)
    answer(held)
    assert held.state == State.DONE


def test_a_late_answer_is_kept_beside_when_the_slot_is_gone(cast: Cast) -> None:
    make_item(cast.project, overlap=1)
    held = claimed(cast, cast.bob)
    release_lease(assignment=held, actor=cast.mary)
    claimed(cast, cast.lena)
    answer(held)
    assert held.state == State.SURPLUS


def test_what_was_answered_cannot_be_released(cast: Cast) -> None:
    make_item(cast.project)
    held = claimed(cast, cast.bob)
    answer(held)
    with pytest.raises(Conflict, match="answered"):
        release_lease(assignment=held, actor=cast.mary)
    assert not AuditEvent.objects.filter(action="release_lease").exists()


@pytest.mark.parametrize("act", [pause_member, remove_member])
def test_who_is_paused_or_removed_holds_nothing_in_this_project(cast: Cast, act) -> None:
    make_item(cast.project)
    elsewhere = make_project()
    make_item(elsewhere)
    Membership.objects.create(project=elsewhere, user=cast.bob, role="labeler")
    held = claimed(cast, cast.bob)
    kept = claim_item(project=elsewhere, user=cast.bob)
    hers = claimed(cast, cast.lena)
    act(membership=Membership.objects.get(project=cast.project, user=cast.bob), actor=cast.mary)
    states = [Assignment.objects.get(pk=one.pk).state for one in (held, kept, hers)]
    assert states == [State.EXPIRED, State.LEASED, State.LEASED]


@pytest.mark.django_db(transaction=True)
def test_a_release_and_an_answer_at_the_same_moment_both_end_well(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    held = claimed(cast, cast.bob)

    def act(number: int) -> None:
        mine = Assignment.objects.get(pk=held.pk)
        if number:
            answer(mine)
        else:
            release_lease(assignment=mine, actor=cast.mary)

    problems = [one for one in in_threads(2, act) if one is not None]
    assert all(isinstance(one, Conflict) for one in problems)
    held.refresh_from_db()
    item.refresh_from_db()
    assert (held.state, item.open_slots) == (State.DONE, 0)
