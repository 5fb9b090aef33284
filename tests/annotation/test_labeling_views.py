from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Assignment, Item, Judgment, Membership, Response
from tests.cast import Cast, make_item, make_project

HTMX = {"HX-Request": "true"}


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


@pytest.mark.parametrize("route", ["label-submit", "label-skip", "label-heartbeat"])
def test_another_persons_assignment_is_not_found(cast: Cast, route: str) -> None:
    make_item(cast.project)
    theirs = open_item(cast, sign_in(cast.bob))
    reply = sign_in(cast.lena).post(url(route, cast), form(theirs))
    assert reply.status_code == 404
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


ROUTES = ["label", "label-last", "label-submit", "label-skip", "label-heartbeat"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_stranger_finds_nothing(cast: Cast, route: str) -> None:
    client = sign_in(cast.mallory)
    method = client.get if route in ROUTES[:2] else client.post
    assert method(url(route, cast)).status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_a_visitor_is_asked_to_sign_in(cast: Cast, route: str) -> None:
    method = Client().get if route in ROUTES[:2] else Client().post
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
    text = re.sub(r'"X-CSRFToken": "[^"]*"|"assignment": "\d+"|data-(draft|labeler)="[^"]*"', "", text)
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
    with django_assert_max_num_queries(30):
        client.post(url("label-submit", cast), sent, headers=HTMX)
