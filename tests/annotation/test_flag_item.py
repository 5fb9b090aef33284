from __future__ import annotations

import pytest

from annotation.answers import AnswerValue
from annotation.models import Assignment, Flag, Item
from annotation.services.claim_item import claim_item
from annotation.services.flag_item import flag_item
from annotation.services.settle_flag import settle_flag
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.errors import PrefloopError
from core.models import AuditEvent
from tests.cast import Cast, make_item

PROBLEM, IDENTITY = Flag.Kind.PROBLEM, Flag.Kind.IDENTITY


def opened(cast: Cast, user) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def test_a_problem_takes_the_item_away(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    flag = flag_item(assignment=assignment, kind=PROBLEM, note=" Cut off in the middle ")
    assert (flag.note, assignment.state) == ("Cut off in the middle", Assignment.State.SKIPPED)
    assert Item.objects.get().skips == 1
    assert claim_item(project=cast.project, user=cast.bob) is None


def test_a_leaked_identity_leaves_the_item_to_be_answered(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    flag_item(assignment=assignment, kind=IDENTITY, note="It says “as GPT-4”")
    assert assignment.state == Assignment.State.LEASED
    answers = {"overall": AnswerValue(strength=1)}
    submit_judgment(assignment=assignment, client_key="a-key-of-mine", answers=answers)
    assert Flag.objects.get().assignment.state == Assignment.State.DONE


def test_one_person_counts_once(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    for _ in range(2):
        flag_item(assignment=assignment, kind=IDENTITY)
    flag_item(assignment=assignment, kind=PROBLEM, note="And it is cut off")
    skip_item(assignment=assignment)
    assert Item.objects.get().skips == 1
    assert Flag.objects.count() == 2


def test_an_answered_item_is_flagged_and_stays_answered(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    answers = {"overall": AnswerValue(strength=1)}
    submit_judgment(assignment=assignment, client_key="a-key-of-mine", answers=answers)
    flag_item(assignment=assignment, kind=PROBLEM)
    assert assignment.state == Assignment.State.DONE
    assert Item.objects.get().skips == 1


@pytest.mark.parametrize("kind", [PROBLEM, IDENTITY])
def test_flagged_too_often_it_waits_for_the_manager(cast: Cast, kind: str) -> None:
    type(cast.project).objects.update(skip_limit=2)
    make_item(cast.project)
    for user in (cast.bob, cast.lena):
        assert Item.objects.get().held_at is None
        flag_item(assignment=opened(cast, user), kind=kind)
    assert Item.objects.get().held_at is not None
    assert AuditEvent.objects.filter(action="hold_item").count() == 1


def test_a_second_note_replaces_the_first(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    for note in ("Firts", "First", ""):
        flag_item(assignment=assignment, kind=IDENTITY, note=note)
    assert Flag.objects.get().note == "First"


def test_what_is_new_is_seen_to_again(cast: Cast) -> None:
    make_item(cast.project)
    assignment = opened(cast, cast.bob)
    settle_flag(flag=flag_item(assignment=assignment, kind=IDENTITY, note="A"), actor=cast.mary)
    # Sent twice, it is the same word.
    assert flag_item(assignment=assignment, kind=IDENTITY, note="A").settled_at is not None
    flag_item(assignment=assignment, kind=IDENTITY, note="And further down it names itself")
    flag = Flag.objects.get()
    assert (flag.settled_at, flag.settled_by) == (None, None)


def test_an_unknown_kind_is_refused(cast: Cast) -> None:
    make_item(cast.project)
    with pytest.raises(PrefloopError):
        flag_item(assignment=opened(cast, cast.bob), kind="ugly")
