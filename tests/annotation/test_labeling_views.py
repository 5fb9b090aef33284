"""The labeling page: what it shows, to whom, and what else than an answer it takes."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Flag, Membership, Response
from tests.cast import Cast, make_item, make_project
from tests.labeling_form import HTMX, form, open_item, sign_in, url

GETS = ["label", "label-last", "label-guidelines"]
POSTS = ["submit", "skip", "heartbeat", "ahead", "flag", "draft"]
ROUTES = [*GETS, *(f"label-{name}" for name in POSTS)]


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


def test_enter_without_script_can_only_submit(cast: Cast) -> None:
    make_item(cast.project)
    text = sign_in(cast.lena).get(url("label", cast)).content.decode()
    answer = text[text.index('<form id="answer"') :]
    answer = answer[: answer.index("</form>")]
    buttons = re.findall(r"<button(?![^>]*type=\"button\")[^>]*>", answer)
    assert len(buttons) == 1
    assert 'id="submit"' in buttons[0]
