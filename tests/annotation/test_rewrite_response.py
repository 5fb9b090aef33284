"""A rewritten response is kept with the judgment, by a person without a name."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection

from annotation.answers import AnswerValue
from annotation.models import Assignment, Generator, Item, Judgment, Protocol, Response, Rewrite
from annotation.services.claim_item import claim_item
from annotation.services.revise_judgment import revise_judgment
from annotation.services.rewrite_response import LONGEST_REWRITE, text_of
from annotation.services.submit_judgment import submit_judgment
from core.errors import PrefloopError
from core.models import User
from tests.cast import Cast, make_item

pytestmark = pytest.mark.django_db


def open_item(cast: Cast, user: User, kind: str = "thumbs") -> Assignment:
    if not Item.objects.exists():
        make_item(cast.project, kind=kind)
    assignment = claim_item(project=cast.project, user=user)
    assert assignment is not None
    return assignment


def submit(assignment: Assignment, rewrite: str, key: str = "key-0001", **given: Any) -> Judgment:
    return submit_judgment(
        assignment=assignment,
        client_key=key,
        answers={"overall": AnswerValue(thumb=0)},
        rewrite=rewrite,
        **given,
    )


def original_of(assignment: Assignment) -> Response:
    return assignment.item.responses.get()


def test_a_rewrite_is_a_response_by_a_person(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena)
    judgment = submit(assignment, "A better answer.\r\nTwo lines.")
    response = judgment.rewrite.response
    assert response.messages == [{"role": "assistant", "content": "A better answer.\nTwo lines."}]
    assert response.prompt == assignment.item.prompt
    assert response.generator.kind == Generator.Kind.PERSON
    assert "lena" not in response.generator.name.lower()
    assert str(assignment.annotator.uuid) in response.generator.name
    assert assignment.item.responses.count() == 1


@pytest.mark.parametrize("change", ["{}", "  {}\n", "{}\r\n", "", "  \n "])
def test_the_same_words_or_none_are_no_rewrite(cast: Cast, change: str) -> None:
    assignment = open_item(cast, cast.lena)
    submit(assignment, change.format(text_of(original_of(assignment).messages)))
    assert not Rewrite.objects.exists()
    assert not Generator.objects.filter(kind=Generator.Kind.PERSON).exists()


def test_only_the_last_message_is_rewritten_and_its_calls_stay(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena)
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    before = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "42"},
    ]
    last = {"role": "assistant", "content": "It is 41.", "tool_calls": [call]}
    Response.objects.filter(items=assignment.item).update(messages=[*before, last])
    judgment = submit(assignment, "It is 42.")
    assert judgment.rewrite.response.messages == [*before, {**last, "content": "It is 42."}]


def test_sent_twice_it_is_one(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena)
    first = submit(assignment, "Better.")
    assert submit(assignment, "Better.") == first
    assert Rewrite.objects.count() == 1


def test_a_revision_has_its_own_and_the_old_one_stays(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena)
    first = submit(assignment, "Better.")
    second = revise_judgment(
        assignment=assignment,
        client_key="key-0002",
        answers={"overall": AnswerValue(thumb=1)},
        rewrite="Best.",
    )
    third = submit(assignment, "Best.", key="key-0003")
    submit(assignment, "", key="key-0004")
    assert first.rewrite.response != second.rewrite.response
    assert second.rewrite.response == third.rewrite.response
    assert Rewrite.objects.count() == 3
    assert assignment.current is not None
    assert not hasattr(assignment.current, "rewrite")


def test_the_same_words_by_two_people_are_two_responses(cast: Cast) -> None:
    ours = submit(open_item(cast, cast.lena), "Better.")
    theirs = submit(open_item(cast, cast.bob), "Better.", key="key-0002")
    assert ours.rewrite.response != theirs.rewrite.response


def test_a_project_may_take_none(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena)
    Protocol.objects.update(allows_rewrite=False)
    with pytest.raises(PrefloopError, match="takes no rewritten"):
        submit(assignment, "Better.")
    submit(assignment, text_of(original_of(assignment).messages))
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize("text", ["x" * (LONGEST_REWRITE + 1), "a\0b", "\ud800"])
def test_what_cannot_be_kept_is_refused_with_the_judgment(cast: Cast, text: str) -> None:
    assignment = open_item(cast, cast.lena)
    with pytest.raises(PrefloopError):
        submit(assignment, text)
    assert not Judgment.objects.exists()


def test_several_responses_have_none(cast: Cast) -> None:
    assignment = open_item(cast, cast.lena, kind="pairwise")
    with pytest.raises(PrefloopError, match="judged alone"):
        submit_judgment(
            assignment=assignment,
            client_key="key-0001",
            answers={"overall": AnswerValue(strength=1)},
            rewrite="Better.",
        )


def test_the_database_allows_one_a_judgment(cast: Cast) -> None:
    judgment = submit(open_item(cast, cast.lena), "Better.")
    with connection.cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute(
            "INSERT INTO annotation_rewrite (judgment_id, response_id) VALUES (%s, %s)",
            [judgment.pk, judgment.rewrite.response_id],
        )
