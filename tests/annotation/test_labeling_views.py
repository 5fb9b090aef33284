from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.answer_form import stamp_of
from annotation.models import Assignment, Flag, Item, Judgment, Membership, Protocol, Response
from tests.cast import Cast, make_item, make_project

HTMX = {"HX-Request": "true"}
GETS = ["label", "label-last", "label-guidelines"]
POSTS = ["submit", "skip", "heartbeat", "ahead", "flag", "draft"]
ROUTES = [*GETS, *(f"label-{name}" for name in POSTS)]


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(name: str, cast: Cast) -> str:
    return reverse(f"annotation:{name}", args=[cast.project.pk])


def form(of: Assignment, **fields) -> dict[str, object]:
    return {
        "assignment": of.pk,
        "client_key": "a-key-of-the-page",
        "strength-overall": "2",
        "duration_ms": "4000",
        "active_ms": "3000",
        **fields,
    }


def open_item(cast: Cast, client: Client) -> Assignment:
    assert client.get(url("label", cast)).status_code == 200
    return Assignment.objects.latest("pk")


def test_the_page_shows_an_item_and_leases_it(cast: Cast) -> None:
    item = make_item(cast.project)
    reply = sign_in(cast.lena).get(url("label", cast))
    text = reply.content.decode()
    for response in item.responses.all():
        assert response.messages[0]["content"] in text
    assert text.lstrip().startswith("<!doctype html>")
    assert Assignment.objects.get().state == Assignment.State.LEASED


def test_a_swap_gets_the_item_alone(cast: Cast) -> None:
    make_item(cast.project)
    text = sign_in(cast.lena).get(url("label", cast), headers=HTMX).content.decode()
    assert 'id="item"' in text
    assert "<html" not in text


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


@pytest.mark.parametrize("route", [f"label-{name}" for name in POSTS])
def test_another_persons_assignment_is_not_found(cast: Cast, route: str) -> None:
    make_item(cast.project)
    theirs = open_item(cast, sign_in(cast.bob))
    client = sign_in(cast.lena)
    assert client.post(url(route, cast), form(theirs, held=theirs.pk)).status_code == 404
    theirs.refresh_from_db()
    assert theirs.state == Assignment.State.LEASED


def test_an_assignment_of_another_project_is_not_found(cast: Cast) -> None:
    other = make_project(name="Other")
    Membership.objects.create(project=other, user=cast.lena, role="labeler")
    make_item(other)
    client = sign_in(cast.lena)
    client.get(reverse("annotation:label", args=[other.pk]))
    reply = client.post(url("label-submit", cast), form(Assignment.objects.get()))
    assert reply.status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_a_stranger_finds_nothing(cast: Cast, route: str) -> None:
    client = sign_in(cast.mallory)
    method = client.get if route in GETS else client.post
    assert method(url(route, cast)).status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_a_visitor_is_asked_to_sign_in(cast: Cast, route: str) -> None:
    method = Client().get if route in GETS else Client().post
    assert method(url(route, cast)).status_code == 302


def test_a_paused_member_reads_why_and_gets_no_item(cast: Cast) -> None:
    make_item(cast.project)
    Membership.objects.filter(user=cast.lena).update(state="paused", state_reason="Too fast.")
    client = sign_in(cast.lena)
    reply = client.get(url("label", cast))
    assert reply.status_code == 200
    assert "Too fast." in reply.content.decode()
    assert client.post(url("label-submit", cast)).status_code == 403
    assert not Assignment.objects.exists()


def test_nothing_left_says_so(cast: Cast) -> None:
    assert "All done here" in sign_in(cast.lena).get(url("label", cast)).content.decode()


def test_it_never_says_done_while_others_hold_items(cast: Cast) -> None:
    make_item(cast.project, overlap=1)
    open_item(cast, sign_in(cast.bob))
    text = sign_in(cast.lena).get(url("label", cast)).content.decode()
    assert "Nothing free right now" in text


def test_the_last_answer_comes_back_as_it_was_shown(cast: Cast) -> None:
    make_item(cast.project, kind="listwise")
    client = sign_in(cast.lena)
    ranks = {"rank-overall-0": "2", "rank-overall-1": "1", "rank-overall-2": "2"}
    assignment = open_item(cast, client)
    client.post(
        url("label-submit", cast),
        form(assignment, comment="Why", reasons="clear", **ranks, **{"acceptable_to-overall": "1"}),
    )
    text = client.get(url("label-last", cast)).content.decode()
    for name, rank in {**ranks, "acceptable_to-overall": "1"}.items():
        assert re.search(rf'name="{name}"[^>]*value="{rank}"', text)
    assert "Why</textarea>" in text
    assert f'name="assignment" value="{assignment.pk}"' in text


def test_there_may_be_no_last_answer(cast: Cast) -> None:
    assert sign_in(cast.lena).get(url("label-last", cast)).status_code == 400


def test_a_heartbeat_keeps_the_lease(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    assignment = open_item(cast, client)
    soon = timezone.now() + timedelta(seconds=5)
    Assignment.objects.update(lease_expires_at=soon)
    reply = client.post(url("label-heartbeat", cast), {"assignment": assignment.pk})
    assignment.refresh_from_db()
    assert reply.json() == {"live": [assignment.pk]}
    assert assignment.lease_expires_at is not None
    assert assignment.lease_expires_at > soon


@pytest.mark.parametrize("kind", ["pairwise", "listwise", "thumbs"])
def test_the_page_is_blind(cast: Cast, kind: str) -> None:
    """Two pages of one item, shown in two orders, differ in nothing but the order of the texts."""
    item = make_item(cast.project, kind=kind, overlap=2)
    Response.objects.update(sampling={"temperature": 0.7, "secret": "sampling-note"})
    texts = []
    for user in (cast.lena, cast.bob):
        client = sign_in(user)
        client.get(url("label", cast))
        Assignment.objects.filter(annotator__user=user).update(
            shown_order=list(range(item.responses.count()))
            if user == cast.lena
            else list(reversed(range(item.responses.count())))
        )
        reply = client.get(url("label", cast))
        assert "ETag" not in reply.headers
        text = reply.content.decode()
        for response in item.responses.all():
            assert response.generator.name not in text
            assert str(response.uuid) not in text
            assert response.uuid.hex not in text
        assert "sampling-note" not in text
        texts.append(text)
    contents = [response.messages[0]["content"] for response in item.responses.all()]
    first, second = (neutral(text, contents) for text in texts)
    assert first == second


def neutral(text: str, contents: list[str]) -> str:
    """The page without what must differ: who is signed in, keys, tokens and the texts."""
    for content in contents:
        text = text.replace(content, "TEXT")
    text = re.sub(r'name="(csrfmiddlewaretoken|client_key|assignment)" value="[^"]*"', "", text)
    text = re.sub(
        r'"X-CSRFToken": "[^"]*"|"assignment": "\d+"|data-(draft|labeler)="[^"]*"', "", text
    )
    return re.sub(r"\b(lena|bob)\b", "WHO", text)


def test_the_start_page_offers_work(cast: Cast) -> None:
    make_item(cast.project)
    text = sign_in(cast.lena).get(reverse("annotation:home-work")).content.decode()
    assert url("label", cast) in text
    assert (
        cast.project.name
        not in sign_in(cast.mallory).get(reverse("annotation:home-work")).content.decode()
    )


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


def test_a_flag_for_a_leaked_identity_leaves_the_item(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    sent = {"assignment": first.pk, "client_key": "a-key-of-the-page", "kind": "identity"}
    reply = client.post(url("label-flag", cast), sent, headers=HTMX)
    assert (reply.status_code, reply.headers["Prefloop-Stored"]) == (204, "a-key-of-the-page")
    reply = client.post(url("label-flag", cast), sent | {"kind": "problem", "note": "Cut off"})
    assert reply.status_code == 302
    assert Flag.objects.count() == 2
    assert "All done here" in client.get(url("label", cast)).content.decode()


def test_a_draft_comes_back_on_another_device(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    values = '[["comment", "Begun at the desk"]]'
    sent = {"assignment": first.pk, "revision": 0, "age_ms": 10, "values": values}
    assert client.post(url("label-draft", cast), sent, headers=HTMX).status_code == 204
    Assignment.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert "Begun at the desk" in sign_in(cast.lena).get(url("label", cast)).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": "{"},
        {"values": "1e999"},
        {"values": "[" * 100_000},
        {"revision": "x"},
        {"age_ms": "9" * 40},
    ],
)
def test_what_is_no_draft_is_refused(cast: Cast, wrong) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    sent = {"assignment": first.pk, "revision": 0, "age_ms": 0, "values": "[]", **wrong}
    assert client.post(url("label-draft", cast), sent, headers=HTMX).status_code == 400


def test_changing_an_answer_shows_its_history(cast: Cast) -> None:
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    for number, strength in enumerate(("2", "-1")):
        sent = form(first, client_key=f"a-key-of-mine-{number}", **{"strength-overall": strength})
        client.post(url("label-submit", cast), sent)
    page = client.get(reverse("annotation:label-again", args=[cast.project.pk, first.pk]))
    text = page.content.decode()
    assert "Response 1 better" in text
    assert "Response 2 slightly better" in text
    assert "becomes revision 3" in text


def test_how_far_the_day_is(cast: Cast) -> None:
    cast.project.daily_target = 200
    cast.project.save()
    text = sign_in(cast.lena).get(url("label", cast)).content.decode()
    assert "0 of 200 today" in text


def test_a_comment_that_is_asked_for_must_be_long_enough(cast: Cast) -> None:
    Protocol.objects.update(comment_min_length=10)
    make_item(cast.project)
    client = sign_in(cast.lena)
    first = open_item(cast, client)
    reply = client.post(url("label-submit", cast), form(first, comment="  short   "), headers=HTMX)
    assert "at least 10 characters; yours has 5" in reply.content.decode()
    client.post(url("label-submit", cast), form(first, comment="long enough"), headers=HTMX)
    assert Judgment.objects.get().comment.text == "long enough"


def test_enter_without_script_can_only_submit(cast: Cast) -> None:
    make_item(cast.project)
    text = sign_in(cast.lena).get(url("label", cast)).content.decode()
    answer = text[text.index('<form id="answer"') :]
    answer = answer[: answer.index("</form>")]
    buttons = re.findall(r"<button(?![^>]*type=\"button\")[^>]*>", answer)
    assert len(buttons) == 1
    assert 'id="submit"' in buttons[0]
