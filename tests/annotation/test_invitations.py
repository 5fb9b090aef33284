"""Invitations by link: who may make one, what it opens, and what it never does."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation.models import Invitation, Membership
from annotation.selectors.invitation import digest, why_closed
from annotation.services.invitation import (
    InvitationClosed,
    accept_invitation,
    create_invitation,
    join_as_stranger,
    revoke_invitation,
)
from annotation.services.membership import remove_member, set_membership
from core.errors import NotAllowed, PrefloopError
from core.models import AuditEvent, User
from tests.api import Api
from tests.cast import Cast, make_project
from tests.races import in_threads

PASSWORD = "three quiet otters"


@pytest.fixture
def invite(cast: Cast):
    def make(**fields):
        given = {"project": cast.project, "role": "labeler", "actor": cast.mary, **fields}
        return create_invitation(**given)

    return make


def opened(client: Client, secret: str) -> Client:
    reply = client.get(f"/join/{secret}/")
    assert (reply.status_code, reply["Location"]) == (302, "/join/")
    return client


def sign_up(client: Client, username: str = "nina", password: str = PASSWORD, **fields):
    form = {"username": username, "password": password, "again": password, **fields}
    return client.post("/join/", form)


def test_the_secret_is_kept_as_a_digest_only(invite) -> None:
    invitation, secret = invite(note="the class of May")
    assert invitation.token_hash == digest(secret)
    assert secret not in str(Invitation.objects.values_list().get())
    assert invitation.expires_at > timezone.now() + timedelta(days=6)
    assert AuditEvent.objects.get(action="create_invitation").project_id == invitation.project_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "owner"},
        {"days": 0},
        {"days": 400},
        {"most_uses": 0},
        {"most_uses": 501},
        {"role": "manager", "most_uses": 2},
        {"note": "a\0b"},
    ],
)
def test_bad_input_makes_no_link(invite, wrong) -> None:
    with pytest.raises(PrefloopError):
        invite(**wrong)
    assert not Invitation.objects.exists()


def test_a_stranger_makes_an_account_and_is_in(cast: Cast, client: Client, invite) -> None:
    invitation, secret = invite()
    reply = sign_up(opened(client, secret), name="Nina N.")
    assert (reply.status_code, reply["Location"]) == (302, "/")
    nina = User.objects.get(username="nina")
    assert nina.check_password(PASSWORD)
    assert (nina.is_admin, nina.can_create_projects) == (False, False)
    assert Membership.objects.get(user=nina, project=cast.project).role == "labeler"
    assert client.get("/account/").status_code == 200
    event = AuditEvent.objects.get(action="accept_invitation")
    assert (event.actor, event.target_id) == (nina, str(invitation.pk))


def test_looking_uses_nothing_up(client: Client, invite) -> None:
    invitation, secret = invite()
    for _ in range(3):
        assert opened(client, secret).get("/join/").status_code == 200
    invitation.refresh_from_db()
    assert invitation.uses == 0


def test_who_is_signed_in_joins_with_one_click(cast: Cast, client: Client, invite) -> None:
    invitation, secret = invite(role="researcher")
    client.force_login(cast.mallory)
    page = opened(client, secret).get("/join/")
    assert b"Join as mallory" in page.content
    client.post("/join/")
    assert Membership.objects.get(user=cast.mallory).role == "researcher"
    invitation.refresh_from_db()
    assert invitation.uses == 1


def test_the_link_is_kept_through_the_sign_in(cast: Cast, client: Client, invite) -> None:
    _, secret = invite()
    opened(client, secret)
    form = {"username": "mallory", "password": "correct horse battery", "next": "/join/"}
    assert client.post("/sign-in/", form)["Location"] == "/join/"
    assert b"Join as mallory" in client.get("/join/").content


def test_a_member_keeps_the_role_and_the_link_its_use(cast: Cast, client: Client, invite) -> None:
    invitation, secret = invite(role="labeler")
    client.force_login(cast.rosa)
    assert b"You are a researcher" in opened(client, secret).get("/join/").content
    client.post("/join/")
    assert Membership.objects.get(user=cast.rosa).role == "researcher"
    invitation.refresh_from_db()
    assert invitation.uses == 0


def test_who_was_removed_does_not_come_back_by_a_link(cast: Cast, client: Client, invite) -> None:
    invitation, secret = invite()
    gone = Membership.objects.get(user=cast.bob)
    remove_member(membership=gone, actor=cast.mary)
    with pytest.raises(NotAllowed):
        accept_invitation(invitation=invitation, user=cast.bob)
    client.force_login(cast.bob)
    assert b"have left it" in opened(client, secret).get("/join/").content
    assert client.post("/join/").status_code == 403


def test_who_is_deactivated_does_not_come_back_by_a_link(
    cast: Cast, client: Client, invite
) -> None:
    _, secret = invite()
    User.objects.filter(pk=cast.mallory.pk).update(is_active=False)
    client.force_login(cast.mallory)
    page = opened(client, secret).get("/join/")
    assert b"Make an account" in page.content
    assert sign_up(client, "Mallory").status_code == 422
    assert not Membership.objects.filter(user=cast.mallory).exists()


@pytest.mark.parametrize("end", ["expired", "revoked", "used up", "maker left", "archived"])
def test_a_link_that_ended_says_so_and_opens_nothing(
    cast: Cast, client: Client, invite, end: str
) -> None:
    invitation, secret = invite()
    rows = Invitation.objects.filter(pk=invitation.pk)
    if end == "expired":
        rows.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "revoked":
        revoke_invitation(invitation=invitation, actor=cast.mary)
    elif end == "used up":
        rows.update(uses=1)
    elif end == "maker left":
        set_membership(project=cast.project, user=cast.rosa, role="manager", actor=cast.mary)
        left = Membership.objects.get(user=cast.mary)
        remove_member(membership=left, actor=cast.rosa)
    else:
        type(cast.project).objects.update(archived_at=timezone.now())
    page = opened(client, secret).get("/join/")
    assert page.status_code == 410
    assert b"Ask whoever sent it" in page.content
    assert sign_up(client).status_code == 410
    assert not User.objects.filter(username="nina").exists()


def test_an_unknown_link_says_so_and_guessing_is_slowed(cast: Cast, client: Client) -> None:
    client.defaults["REMOTE_ADDR"] = "192.0.2.77"
    statuses = [client.get(f"/join/guess-{number}/").status_code for number in range(40)]
    assert statuses[0] == 404
    assert statuses[-1] == 429
    assert client.get("/join/").status_code == 404


def test_there_is_no_sign_up_without_a_link(cast: Cast, client: Client) -> None:
    assert sign_up(client).status_code == 404
    assert not User.objects.filter(username="nina").exists()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"password": "short", "again": "short"}, b"at least 12"),
        ({"password": "password1234", "again": "password1234"}, b"too common"),
        ({"again": "three quiet owls"}, b"differ"),
        ({"username": "BOB"}, b"is taken"),
        ({"username": "no spaces"}, b"valid username"),
        ({"username": "nina\0"}, b"Null characters"),
        ({"username": "quietotters", "password": "quietotters1", "again": "quietotters1"},
         b"too similar"),
    ],
)  # fmt: skip
def test_a_bad_form_makes_nobody_and_keeps_what_was_typed(
    client: Client, invite, form, words: bytes
) -> None:
    invitation, secret = invite()
    people = User.objects.count()
    reply = sign_up(opened(client, secret), **{"name": "Nina N.", **form})
    assert reply.status_code == 422
    assert words in reply.content
    assert b'value="Nina N."' in reply.content
    assert PASSWORD.encode() not in reply.content
    invitation.refresh_from_db()
    assert (User.objects.count(), invitation.uses) == (people, 0)


def test_the_secret_is_in_no_later_address_and_no_referer(client: Client, invite) -> None:
    _, secret = invite()
    reply = client.get(f"/join/{secret}/")
    assert reply["Referrer-Policy"] == "strict-origin"
    page = client.get("/join/")
    assert page["Referrer-Policy"] == "strict-origin"
    assert "no-store" in page["Cache-Control"]
    assert secret not in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_strangers_at_once_get_one_last_place(invite) -> None:
    invitation, _ = invite(most_uses=2)
    Invitation.objects.update(uses=1)
    people = User.objects.count()

    def join(number: int) -> Membership:
        own = Invitation.objects.select_related("project", "created_by").get(pk=invitation.pk)
        return join_as_stranger(invitation=own, username=f"nina{number}", password=PASSWORD)

    results = in_threads(4, join)
    assert sum(isinstance(one, Membership) for one in results) == 1
    assert sum(isinstance(one, InvitationClosed) for one in results) == 3
    assert User.objects.count() == people + 1
    assert Invitation.objects.get().uses == 2


@pytest.mark.django_db(transaction=True)
def test_a_double_click_joins_once(cast: Cast, invite) -> None:
    invitation, _ = invite(most_uses=5)
    joined = in_threads(3, lambda _: accept_invitation(invitation=invitation, user=cast.mallory))
    assert len({one.pk for one in joined}) == 1
    assert Invitation.objects.get().uses == 1


def test_a_manager_makes_and_withdraws_a_link_on_the_page(cast: Cast, client: Client) -> None:
    client.force_login(cast.mary)
    people = f"/projects/{cast.project.pk}/people/"
    form = {"role": "labeler", "most_uses": 20, "days": 7, "note": "class of May"}
    page = client.post(people + "invite/", form).content.decode()
    secret = re.search(r"http://testserver/join/([\w-]{40,})/", page).group(1)
    assert secret not in client.get(people).content.decode()
    assert client.get(people + "invite/")["Location"] == people
    invitation = Invitation.objects.get()
    assert (invitation.token_hash, invitation.most_uses) == (digest(secret), 20)
    client.post(f"{people}invitations/{invitation.pk}/withdraw/")
    invitation.refresh_from_db()
    assert why_closed(invitation) == "it was withdrawn"
    assert "It was withdrawn" in client.get(people).content.decode()


def test_a_form_with_mistakes_is_shown_again(cast: Cast, client: Client) -> None:
    client.force_login(cast.mary)
    form = {"role": "manager", "most_uses": 3, "days": 7, "note": "co-lead"}
    reply = client.post(f"/projects/{cast.project.pk}/people/invite/", form)
    assert reply.status_code == 422
    assert b"serves one person" in reply.content
    assert b"co-lead" in reply.content


def test_links_of_another_project_are_out_of_reach(cast: Cast, client: Client, invite) -> None:
    invitation, _ = invite(project=make_project(name="Other"), actor=cast.ada)
    client.force_login(cast.mary)
    path = f"/projects/{cast.project.pk}/people/invitations/{invitation.pk}/withdraw/"
    assert client.post(path).status_code == 404


def test_a_program_makes_and_withdraws_a_link(cast: Cast) -> None:
    api = Api(cast.mary)
    path = f"projects/{cast.project.pk}/invitations"
    made = api.post(path, {"role": "labeler", "most_uses": 3, "note": "the night shift"})
    assert made.status_code == 201
    secret = made.json()["link"].removeprefix("http://testserver/join/").rstrip("/")
    invitation = Invitation.objects.get(token_hash=digest(secret))
    (listed,) = api.get(path).json()["results"]
    assert (listed["note"], listed["closed"]) == ("the night shift", "")
    assert secret not in str(listed)
    assert api.post(path, {"role": "manager", "most_uses": 2}).status_code == 400
    revoked = api.post(f"invitations/{invitation.pk}/revoke").json()
    assert revoked["closed"] == "it was withdrawn"
