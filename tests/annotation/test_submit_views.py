"""An answer sent from the labeling page, and the item that comes back with it."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from annotation.answer_form import stamp_of
from annotation.models import Assignment, Item, Judgment, Protocol
from tests.cast import Cast, make_item
from tests.labeling_form import HTMX, form, open_item, sign_in, url


def test_a_submit_brings_the_next_item(cast: Cast) -> None:
    for _ in range(2):
        make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    reply = client.post(url("label-submit", cast), form(first), headers=HTMX)
    second = Assignment.objects.latest("pk")
    assert reply.status_code == 200
    assert f'name="assignment" value="{second.pk}"' in reply.content.decode()
    assert second != first
    assert Judgment.objects.get().active_ms == 3000


def test_without_script_a_submit_leads_back_to_the_page(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    reply = client.post(url("label-submit", cast), form(open_item(cast, client)))
    assert (reply.status_code, reply.headers["Location"]) == (302, url("label", cast))


def test_the_same_form_twice_is_one_judgment(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    sent = form(open_item(cast, client))
    for _ in range(2):
        assert client.post(url("label-submit", cast), sent, headers=HTMX).status_code == 200
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength-overall": "9"},
        {"strength-overall": ""},
        {"strength-overall": "much"},
        {"client_key": ""},
        {"client_key": "x" * 65},
        {"client_key": "a-key\0of-the-page"},
        {"reasons": "no such reason"},
        {"strength-overall": "1", "both_bad-overall": "on"},
    ],
)
def test_a_wrong_form_is_refused_in_words(cast: Cast, wrong) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    sent = form(open_item(cast, client), **wrong)
    reply = client.post(url("label-submit", cast), sent, headers=HTMX)
    assert reply.status_code == 400
    assert "data-error" in reply.content.decode()
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("number", ["", "abc", "-1", "0", "999999999999999999999"])
def test_an_unknown_assignment_is_not_found(cast: Cast, number: str) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    sent = form(open_item(cast, client), assignment=number)
    assert client.post(url("label-submit", cast), sent).status_code == 404


def test_a_submit_with_the_next_item_takes_few_queries(
    cast: Cast, django_assert_max_num_queries
) -> None:
    for _ in range(3):
        make_item(cast.project)
    client = sign_in(cast.lena)
    sent = form(open_item(cast, client))
    Item.objects.update(started=False)
    with django_assert_max_num_queries(20):
        client.post(url("label-submit", cast), sent, headers=HTMX)


def held_of(reply) -> Assignment:
    """The item in a reply, which is only held ready."""
    number = re.search(r'name="assignment" value="(\d+)"', reply.content.decode())
    assert number is not None
    assignment = Assignment.objects.get(pk=number[1])
    assert assignment.opened_at is None
    return assignment


def test_the_next_item_is_held_ready_and_opened_when_it_is_shown(cast: Cast) -> None:
    for _ in range(3):
        make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    second = held_of(client.post(url("label-ahead", cast), {"held": first.pk}, headers=HTMX))
    sent = form(first, held=second.pk)
    for _ in range(2):
        reply = client.post(url("label-submit", cast), sent, headers=HTMX)
        assert reply.headers["Prefloop-Stored"] == sent["client_key"]
        third = held_of(reply)
    second.refresh_from_db()
    assert second.opened_at is not None
    assert len({first.pk, second.pk, third.pk}) == 3
    assert Assignment.objects.count() == 3


@pytest.mark.parametrize("held", ["theirs", "987654321", "junk"])
def test_what_is_held_by_another_does_not_cost_the_answer(cast: Cast, held: str) -> None:
    for _ in range(3):
        make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    if held == "theirs":
        held = str(open_item(cast, sign_in(cast.bob)).pk)
    reply = client.post(url("label-submit", cast), form(first, held=held), headers=HTMX)
    assert reply.headers["Prefloop-Stored"]
    assert Judgment.objects.get().assignment == first
    number = re.search(r'name="assignment" value="(\d+)"', reply.content.decode())
    assert number is not None
    assert Assignment.objects.get(pk=number[1]).annotator == first.annotator


def test_nothing_is_held_ready_behind_the_last_item(cast: Cast) -> None:
    for _ in range(2):
        make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    second = held_of(client.post(url("label-ahead", cast), {"held": first.pk}, headers=HTMX))
    reply = client.post(url("label-submit", cast), form(first, held=second.pk), headers=HTMX)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["Prefloop-Stored"]


def test_a_refused_answer_is_not_called_stored(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    sent = form(open_item(cast, client), **{"strength-overall": "9"})
    reply = client.post(url("label-submit", cast), sent, headers=HTMX)
    assert "Prefloop-Stored" not in reply.headers


def test_an_answer_counts_under_the_guidelines_that_were_shown(cast: Cast) -> None:
    for _ in range(2):
        make_item(cast.project)
    client = sign_in(cast.lena)
    old = cast.project.protocol
    Protocol.objects.update(frozen_at=timezone.now())
    stamp = stamp_of(old)
    first = open_item(cast, client)
    assert f'name="protocol" value="{stamp}"' in client.get(url("label", cast)).content.decode()
    Protocol.objects.create(
        project=cast.project, version=2, kinds=old.kinds, criteria=old.criteria, guidelines="New"
    )
    client.post(url("label-submit", cast), form(first, protocol=stamp, reasons="clear"))
    assert Judgment.objects.get().protocol == old
    page = client.get(url("label", cast)).content.decode()
    assert "Guidelines, version 2" in page
    assert "which you gave under version 1" in page


def test_guidelines_edited_in_place_are_read_before_the_answer_counts(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    stamp = stamp_of(cast.project.protocol)
    first = open_item(cast, client)
    Protocol.objects.update(guidelines="Mind the facts.")
    for wrong in (stamp, "7-00000000", "x" * 400):
        reply = client.post(url("label-submit", cast), form(first, protocol=wrong), headers=HTMX)
        assert reply.status_code == 409
    assert not Judgment.objects.exists()


def test_a_comment_that_is_asked_for_must_be_long_enough(cast: Cast) -> None:
    Protocol.objects.update(comment_min_length=10)
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    reply = client.post(url("label-submit", cast), form(first, comment="  short   "), headers=HTMX)
    assert "at least 10 characters; yours has 5" in reply.content.decode()
    client.post(url("label-submit", cast), form(first, comment="long enough"), headers=HTMX)
    assert Judgment.objects.get().comment.text == "long enough"
