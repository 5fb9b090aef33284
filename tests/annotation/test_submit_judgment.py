from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import Answer, Assignment, Item, Judgment, JudgmentComment, Protocol
from annotation.services.claim_item import claim_item
from annotation.services.expire_leases import expire_leases
from annotation.services.item import extend_overlap
from annotation.services.project import revise_protocol
from annotation.services.revise_judgment import revise_judgment
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict, PrefloopError
from tests.cast import Cast, make_item
from tests.races import in_threads

State = Assignment.State
FIRST_BETTER = {"overall": AnswerValue(strength=2)}
keys = itertools.count()


def claim(cast: Cast, user) -> Assignment:
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def submit(assignment: Assignment, **fields) -> Judgment:
    values = {"client_key": f"key {next(keys)}", "answers": FIRST_BETTER, **fields}
    return submit_judgment(assignment=assignment, **values)


def run_out(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    expire_leases()


def test_it_stores_the_answer_in_canonical_order(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    judgment = submit(
        assignment, comment=" Clearer. ", reasons=["clear"], duration_ms=9000, active_ms=8000
    )
    answer = judgment.answers.get()
    assert answer.strength == (2 if assignment.shown_order[0] == 0 else -2)
    assert (judgment.revision, judgment.reasons) == (1, ["clear"])
    assert (judgment.duration_ms, judgment.active_ms) == (9000, 8000)
    assert judgment.comment.text == "Clearer."
    assert (assignment.state, assignment.current) == (State.DONE, judgment)
    assert assignment.finished_at is not None
    assert assignment.lease_expires_at is None


def test_a_list_and_thumbs_are_stored(cast: Cast) -> None:
    make_item(cast.project, kind="listwise")
    ranked = claim(cast, cast.bob)
    stored = submit(
        ranked, answers={"overall": AnswerValue(ranks=(1, 2, 2), acceptable_to=1)}
    ).answers.get()
    assert stored.ranks is not None
    assert [stored.ranks[position] for position in ranked.shown_order] == [1, 2, 2]
    assert stored.acceptable_to == 1
    make_item(cast.project, kind="thumbs", priority=1)
    Item.objects.filter(kind="listwise").update(closed_at=timezone.now())
    thumb = claim(cast, cast.bob)
    judgment = submit(thumb, answers={"overall": AnswerValue(thumb=0)})
    assert judgment.answers.get().thumb == 0


def test_the_first_judgment_freezes_the_protocol(cast: Cast) -> None:
    make_item(cast.project)
    submit(claim(cast, cast.bob))
    assert Protocol.objects.get().frozen_at is not None


def test_the_same_key_again_changes_nothing(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    first = submit(assignment, client_key="the key")
    again = submit(assignment, client_key="the key", answers={"overall": AnswerValue(strength=-3)})
    assert again == first
    assert Judgment.objects.count() == 1
    assert Answer.objects.count() == 1


def test_a_key_of_another_item_is_refused(cast: Cast) -> None:
    make_item(cast.project)
    make_item(cast.project)
    submit(claim(cast, cast.bob), client_key="the key")
    with pytest.raises(Conflict):
        submit(claim(cast, cast.bob), client_key="the key")


def test_an_answer_after_the_lease_takes_a_free_slot_back(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    assignment = claim(cast, cast.bob)
    run_out(assignment)
    submit(assignment)
    item.refresh_from_db()
    assert assignment.state == State.DONE
    assert item.open_slots == 0


def test_an_answer_after_the_slot_is_gone_is_kept_as_surplus(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    late = claim(cast, cast.bob)
    run_out(late)
    submit(claim(cast, cast.lena))
    submit(late)
    item.refresh_from_db()
    assert late.state == State.SURPLUS
    assert late.current is not None
    assert item.open_slots == 0


def test_an_answer_after_a_skip_is_kept(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    skip_item(assignment=assignment)
    submit(assignment)
    assert assignment.state == State.DONE


def test_a_revision_is_a_new_row_and_counts(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    assignment = claim(cast, cast.bob)
    first = submit(assignment)
    finished_at = assignment.finished_at
    second = revise_judgment(
        assignment=assignment, client_key="changed", answers={"overall": AnswerValue(strength=0)}
    )
    item.refresh_from_db()
    assert (first.revision, second.revision) == (1, 2)
    assert assignment.current == second
    assert (assignment.state, assignment.finished_at) == (State.DONE, finished_at)
    assert item.open_slots == 1


def test_a_surplus_answer_stays_surplus_when_changed(cast: Cast) -> None:
    make_item(cast.project, overlap=1)
    late = claim(cast, cast.bob)
    run_out(late)
    submit(claim(cast, cast.lena))
    submit(late)
    again = submit(late)
    assert late.state == State.SURPLUS
    assert (late.current, again.revision) == (again, 2)


def test_a_larger_overlap_counts_the_surplus_before_others_are_asked(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    late = claim(cast, cast.bob)
    run_out(late)
    submit(claim(cast, cast.lena))
    submit(late)
    extend_overlap(item=item, by=2, actor=cast.rosa)
    late.refresh_from_db()
    assert late.state == State.DONE
    assert (item.overlap, item.open_slots) == (3, 1)


def test_questions_edited_since_they_were_read_take_no_answer(cast: Cast) -> None:
    make_item(cast.project)
    assignment, read = claim(cast, cast.bob), cast.project.protocol
    asked = {"guidelines": "", "kinds": read.kinds, "reasons": read.reasons}
    criteria = [{"key": "safe", "name": "Safe"}]
    revise_protocol(project=cast.project, actor=cast.mary, criteria=criteria, **asked)
    with pytest.raises(Conflict):
        submit(assignment, protocol=read)
    assert not Judgment.objects.exists()
    assert cast.project.protocol.frozen_at is None
    submit(assignment, answers={"safe": AnswerValue(strength=1)})
    assert cast.project.protocol.frozen_at is not None


def test_questions_of_an_older_version_still_take_answers(cast: Cast) -> None:
    make_item(cast.project)
    submit(claim(cast, cast.bob))
    late, read = claim(cast, cast.lena), cast.project.protocol
    asked = {"guidelines": "", "kinds": read.kinds, "reasons": read.reasons}
    criteria = [{"key": "safe", "name": "Safe"}]
    revise_protocol(project=cast.project, actor=cast.mary, criteria=criteria, **asked)
    assert submit(late, protocol=read).protocol == read


def test_there_must_be_an_answer_to_change(cast: Cast) -> None:
    make_item(cast.project)
    with pytest.raises(Conflict):
        revise_judgment(assignment=claim(cast, cast.bob), client_key="k", answers=FIRST_BETTER)


@pytest.mark.parametrize(
    "fields",
    [
        {"answers": {}},
        {"answers": {"overall": AnswerValue(strength=7)}},
        {"answers": {"other": AnswerValue(strength=1)}},
        {"answers": FIRST_BETTER, "reasons": ["no such reason"]},
    ],
)
def test_a_refused_answer_leaves_nothing_behind(cast: Cast, fields) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)
    with pytest.raises(PrefloopError):
        submit(assignment, **fields)
    assignment.refresh_from_db()
    assert assignment.state == State.LEASED
    assert not Judgment.objects.exists()
    assert not JudgmentComment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_race_of_a_double_click(cast: Cast) -> None:
    make_item(cast.project)
    assignment = claim(cast, cast.bob)

    def click(_: int) -> Judgment:
        mine = Assignment.objects.get(pk=assignment.pk)
        return submit(mine, client_key="one click")

    results = in_threads(4, click)
    assert len({result.pk for result in results}) == 1
    assert Judgment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_race_of_two_late_answers_for_one_slot(cast: Cast) -> None:
    item = make_item(cast.project, overlap=2)
    late = [claim(cast, cast.bob), claim(cast, cast.lena)]
    for assignment in late:
        run_out(assignment)
    submit(claim(cast, cast.rita))
    in_threads(2, lambda number: submit(Assignment.objects.get(pk=late[number].pk)))
    item.refresh_from_db()
    states = sorted(
        Assignment.objects.exclude(annotator__user=cast.rita).values_list("state", flat=True)
    )
    assert states == [State.DONE, State.SURPLUS]
    assert item.open_slots == 0


@pytest.mark.django_db(transaction=True)
def test_race_of_an_answer_and_the_sweep(cast: Cast) -> None:
    """The answer holds the item; the sweep passes over it and takes nothing back."""
    make_item(cast.project, overlap=1)
    assignment = claim(cast, cast.bob)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    swept: list[int] = []

    def sweep() -> None:
        swept.append(expire_leases())
        connection.close()

    with transaction.atomic():
        submit(assignment)
        thread = threading.Thread(target=sweep)
        thread.start()
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert swept == [0]
    assignment.refresh_from_db()
    assert assignment.state == State.DONE
