from __future__ import annotations

from datetime import timedelta

import pytest

from annotation.answers import AnswerValue
from annotation.models import Assignment, Draft, Judgment
from annotation.services.claim_item import claim_item
from annotation.services.save_draft import save_draft
from annotation.services.submit_judgment import submit_judgment
from core.errors import PrefloopError
from tests.cast import Cast, make_item
from tests.races import in_threads

VALUES = [["strength-overall", "2"], ["comment", "Half a thought"]]


def opened(cast: Cast) -> Assignment:
    make_item(cast.project)
    assignment = claim_item(project=cast.project, user=cast.lena)
    assert assignment is not None
    return assignment


def answer(assignment: Assignment, key: str = "a-key-of-mine") -> Judgment:
    answers = {"overall": AnswerValue(strength=1)}
    return submit_judgment(assignment=assignment, client_key=key, answers=answers)


def test_it_keeps_what_was_typed(cast: Cast) -> None:
    draft = save_draft(assignment=opened(cast), values=VALUES, revision=0)
    assert draft is not None
    assert draft.values == VALUES


def test_the_newest_by_time_wins_whichever_comes_last(cast: Cast) -> None:
    assignment = opened(cast)
    save_draft(assignment=assignment, values=VALUES, revision=0, age=timedelta(minutes=1))
    older = [["comment", "From a phone that was offline"]]
    assert (
        save_draft(assignment=assignment, values=older, revision=0, age=timedelta(hours=1)) is None
    )
    assert Draft.objects.get().values == VALUES
    assert save_draft(assignment=assignment, values=older, revision=0) is not None
    assert Draft.objects.get().values == older


def test_the_answer_takes_the_draft_with_it(cast: Cast) -> None:
    assignment = opened(cast)
    save_draft(assignment=assignment, values=VALUES, revision=0)
    answer(assignment)
    assert not Draft.objects.exists()


def test_one_that_is_given_up_is_not_offered_again(cast: Cast) -> None:
    assignment = opened(cast)
    answer(assignment)
    save_draft(assignment=assignment, values=VALUES, revision=1)
    assert save_draft(assignment=assignment, values=[], revision=1, age=timedelta(hours=1)) is None
    assert Draft.objects.get().values == VALUES
    save_draft(assignment=assignment, values=[], revision=1)
    assert not Draft.objects.exists()


def test_a_draft_that_comes_after_its_answer_is_of_no_use(cast: Cast) -> None:
    assignment = opened(cast)
    answer(assignment)
    assert save_draft(assignment=assignment, values=VALUES, revision=0) is None
    assert save_draft(assignment=assignment, values=VALUES, revision=1) is not None
    answer(assignment, "another-key-of-mine")
    assert not Draft.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_draft_and_answer_at_once_leave_no_draft(cast: Cast) -> None:
    assignment = opened(cast)

    def act(number: int) -> object:
        mine = Assignment.objects.get(pk=assignment.pk)
        if number:
            return answer(mine)
        return save_draft(assignment=mine, values=VALUES, revision=0)

    in_threads(2, act)
    assert Judgment.objects.count() == 1
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        5,
        [["a"]],
        [["a", "b", "c"]],
        [["a", 1]],
        ["ab"],
        [["a", "\0"]],
        [["a", "b"]] * 301,
    ],
)
def test_what_is_no_form_is_refused(cast: Cast, wrong) -> None:
    with pytest.raises(PrefloopError):
        save_draft(assignment=opened(cast), values=wrong, revision=0)
    assert not Draft.objects.exists()


def test_a_draft_is_not_endless(cast: Cast) -> None:
    with pytest.raises(PrefloopError):
        save_draft(assignment=opened(cast), values=[["a", "x" * 500_001]], revision=0)
