"""Accounts that end, come back, or are forgotten; rights; links for a new password."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from annotation.answers import AnswerValue
from annotation.models import (
    Assignment,
    Draft,
    Flag,
    GoldAnswer,
    Invitation,
    JudgmentComment,
    Membership,
)
from annotation.services.claim_item import claim_item
from annotation.services.forget_user import deactivate_person, forget_user
from annotation.services.invitation import create_invitation
from annotation.services.item import close_item
from annotation.services.membership import pause_member
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict, PrefloopError
from core.jobs import enqueue
from core.models import ApiToken, AuditEvent, Job, Session, User
from core.password_links import link_tokens
from core.services.account import deactivate_user, make_password_link, reactivate_user, set_rights
from core.services.api_token import create_api_token
from feedback.models import Adjudication, Snapshot
from tests.cast import Cast, annotator_of, make_item, make_user
from tests.races import in_threads

NEW = "three quiet otters"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_sessions_tokens_and_leases_end_at_once(cast: Cast) -> None:
    item = make_item(cast.project, overlap=1)
    lease = claim_item(project=cast.project, user=cast.bob)
    _, token = create_api_token(user=cast.bob, name="script", scopes=["read"])
    headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    browser = signed_in(cast.bob)
    assert Client().get("/api/projects", **headers).status_code == 200
    deactivate_person(user=cast.bob, actor=cast.ada)
    assert browser.get("/account/").status_code == 302
    assert Client().get("/api/projects", **headers).status_code == 401
    assert not Session.objects.filter(user=cast.bob).exists()
    lease.refresh_from_db()
    item.refresh_from_db()
    assert (lease.state, item.open_slots) == (Assignment.State.EXPIRED, 1)
    assert claim_item(project=cast.project, user=cast.lena).item_id == item.pk


def test_who_comes_back_signs_in_anew(cast: Cast) -> None:
    browser = signed_in(cast.bob)
    for _ in range(2):
        deactivate_person(user=cast.bob, actor=cast.ada)
    reactivate_user(user=cast.bob, actor=cast.ada)
    assert browser.get("/account/").status_code == 302
    form = {"username": "bob", "password": "correct horse battery"}
    assert Client().post("/sign-in/", form).status_code == 302
    assert Membership.objects.get(user=cast.bob).state == "active"
    assert AuditEvent.objects.filter(action="deactivate_user").count() == 1


def test_the_last_admin_stays(cast: Cast) -> None:
    for end in (
        lambda: deactivate_user(user=cast.ada, actor=cast.ada),
        lambda: set_rights(user=cast.ada, is_admin=False, can_create_projects=True, actor=cast.ada),
        lambda: forget_user(user=cast.ada, actor=cast.ada, confirmation="ada"),
    ):
        with pytest.raises(Conflict, match="only admin"):
            end()
    cast.ada.refresh_from_db()
    assert (cast.ada.is_active, cast.ada.is_admin) == (True, True)


@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_dismiss_each_other_at_once(cast: Cast) -> None:
    eve = make_user("eve", is_admin=True)
    pairs = [(cast.ada, eve), (eve, cast.ada)]
    results = in_threads(2, lambda one: deactivate_user(user=pairs[one][0], actor=pairs[one][1]))
    assert sum(isinstance(one, Conflict) for one in results) == 1
    assert User.objects.filter(is_admin=True, is_active=True).count() == 1


def test_the_right_to_create_projects_is_given_and_taken(cast: Cast) -> None:
    set_rights(user=cast.rosa, is_admin=False, can_create_projects=True, actor=cast.ada)
    assert cast.rosa.may_create_projects
    set_rights(user=cast.rosa, is_admin=False, can_create_projects=True, actor=cast.ada)
    set_rights(user=cast.rosa, is_admin=False, can_create_projects=False, actor=cast.ada)
    assert User.objects.get(pk=cast.rosa.pk).may_create_projects is False
    assert AuditEvent.objects.filter(action="set_rights").count() == 2


def test_a_password_link_serves_once(cast: Cast) -> None:
    path = make_password_link(user=cast.bob, actor=cast.ada)
    client = Client()
    form_path = client.get(path)["Location"]
    page = client.get(form_path)
    assert page["Referrer-Policy"] == "strict-origin"
    assert b"You sign in as" in page.content
    weak = client.post(form_path, {"new_password1": "short", "new_password2": "short"})
    assert b"at least 12" in weak.content
    reply = client.post(form_path, {"new_password1": NEW, "new_password2": NEW})
    assert reply["Location"] == "/sign-in/"
    cast.bob.refresh_from_db()
    assert cast.bob.check_password(NEW)
    assert b"does not work any more" in Client().get(path, follow=True).content


def test_a_password_link_outlives_a_sign_in_and_another_address(cast: Cast) -> None:
    path = make_password_link(user=cast.bob, actor=cast.ada)
    signed_in(cast.bob)
    User.objects.filter(pk=cast.bob.pk).update(email="new@example.org")
    cast.bob.refresh_from_db()
    assert cast.bob.last_login is not None
    assert b"You sign in as" in Client().get(path, follow=True).content


def test_one_link_is_withdrawn_and_a_newer_one_serves(cast: Cast) -> None:
    browser, bobs = signed_in(cast.ada), signed_in(cast.bob)
    first = make_password_link(user=cast.bob, actor=cast.ada)
    person = f"/people/{cast.bob.pk}/"
    assert b"Withdraw the link" in browser.get(person).content
    for _ in range(2):
        browser.post(person + "password-link/withdraw/")
    assert b"Withdraw the link" not in browser.get(person).content
    assert b"does not work any more" in Client().get(first, follow=True).content
    cast.bob.refresh_from_db()
    second = make_password_link(user=cast.bob, actor=cast.ada)
    third = make_password_link(user=cast.bob, actor=cast.ada)
    assert Client().get(second).status_code == 200
    assert Client().get(third).status_code == 302
    assert bobs.get("/account/").status_code == 200
    assert AuditEvent.objects.filter(action="withdraw_password_link").count() == 1


def test_a_password_link_ends_with_the_account_and_with_time(cast: Cast, settings) -> None:
    path = make_password_link(user=cast.bob, actor=cast.ada)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert b"does not work any more" in Client().get(path, follow=True).content
    settings.PASSWORD_RESET_TIMEOUT = 3600
    deactivate_person(user=cast.bob, actor=cast.ada)
    assert b"does not work any more" in Client().get(path, follow=True).content
    with pytest.raises(Conflict, match="not active"):
        make_password_link(user=cast.bob, actor=cast.ada)


def test_a_link_for_one_account_is_no_good_for_another(cast: Cast) -> None:
    token = link_tokens.make_token(cast.bob)
    other = make_password_link(user=cast.lena, actor=cast.ada).split("/")[2]
    page = Client().get(f"/password/{other}/{token}/", follow=True)
    assert b"does not work any more" in page.content


@pytest.fixture
def busy_bob(cast: Cast) -> User:
    """With words of his in every place that has room for them."""
    User.objects.filter(pk=cast.bob.pk).update(name="Bob Builder", email="bob@example.org")
    for comment in ("My name is Bob Builder.", ""):
        make_item(cast.project, kind="thumbs")
        assignment = claim_item(project=cast.project, user=cast.bob)
        submit_judgment(
            assignment=assignment,
            client_key=f"key-{assignment.pk}",
            answers={"overall": AnswerValue(thumb=1)},
            comment=comment,
        )
    Draft.objects.create(assignment=assignment, values=[["comment", "Bob"]])
    Flag.objects.create(assignment=assignment, kind="problem", note="Bob Builder saw it")
    skipped = Assignment.objects.create(
        item=make_item(cast.project),
        annotator=annotator_of(cast.bob),
        shown_order=[0, 1],
        state="skipped",
        skip_reason="Bob does not know",
        takes_slot=False,
        finished_at=timezone.now(),
    )
    assert skipped.pk
    create_api_token(user=cast.bob, name="Bob's laptop", scopes=["read"])
    create_invitation(project=cast.project, role="labeler", actor=cast.bob, note="Bob's friend")
    membership = Membership.objects.get(user=cast.bob, project=cast.project)
    pause_member(membership=membership, actor=cast.mary, reason="Bob was rude")
    others = Membership.objects.get(user=cast.lena, project=cast.project)
    pause_member(membership=others, actor=cast.bob, reason="Bob dislikes this")
    close_item(item=skipped.item, actor=cast.bob, reason="Bob Builder built it")
    Snapshot.objects.create(
        project=cast.project, version=1, note="Bob's best", content_hash="0" * 64, manifest={},
        created_by=cast.bob,
    )  # fmt: skip
    enqueue("freeze_snapshot", args={"note": "Bob's best"}, created_by=cast.bob)
    Adjudication.objects.create(
        item=skipped.item, criterion="overall", adjudicator=cast.bob, strength=2, note="Bob says so"
    )
    GoldAnswer.objects.create(
        item=skipped.item, criterion="overall", expected={"strength": 2}, source="Bob Builder"
    )
    cast.bob.refresh_from_db()
    return cast.bob


def test_a_person_is_forgotten_and_the_answers_stay(cast: Cast, busy_bob: User) -> None:
    browser = signed_in(busy_bob)
    annotator = annotator_of(busy_bob)
    answered = annotator.assignments.filter(current__isnull=False).count()
    forget_user(user=busy_bob, actor=cast.ada, confirmation="BOB")
    user = User.objects.get(pk=busy_bob.pk)
    assert (user.username, user.name, user.email) == (f"forgotten-{user.pk}", "", "")
    assert not user.has_usable_password()
    assert user.last_login is None
    assert browser.get("/account/").status_code == 302
    assert annotator.assignments.filter(current__isnull=False).count() == answered == 2
    words = [
        *JudgmentComment.objects.values_list("text", flat=True),
        *Flag.objects.values_list("note", flat=True),
        *Assignment.objects.values_list("skip_reason", flat=True),
        *Invitation.objects.values_list("note", flat=True),
        *Membership.objects.values_list("state_reason", flat=True),
        *ApiToken.objects.values_list("name", flat=True),
        *GoldAnswer.objects.values_list("source", flat=True),
        *Adjudication.objects.values_list("note", flat=True),
        *Snapshot.objects.values_list("note", flat=True),
        *map(str, Job.objects.values_list("args", flat=True)),
        *map(str, AuditEvent.objects.values_list("detail", flat=True)),
    ]
    assert "bob" not in " ".join(words).lower()
    assert not Draft.objects.exists()
    assert Membership.objects.get(user=user).state == "left"
    assert Membership.objects.get(user=cast.lena, project=cast.project).state == "paused"
    with pytest.raises(Conflict, match="forgotten"):
        reactivate_user(user=user, actor=cast.ada)


def test_forgetting_asks_for_the_name(cast: Cast, busy_bob: User) -> None:
    with pytest.raises(PrefloopError, match="Type the username"):
        forget_user(user=busy_bob, actor=cast.ada, confirmation="lena")
    busy_bob.refresh_from_db()
    assert busy_bob.is_active
    page = signed_in(cast.ada).post(f"/people/{busy_bob.pk}/forget/", {"confirmation": "boob"})
    assert page.status_code == 422
    assert b'value="boob"' in page.content


def test_an_admin_does_all_of_it_on_the_pages(cast: Cast) -> None:
    client = signed_in(cast.ada)
    form = {"username": "nina", "name": "Nina N.", "email": "n@example.org"}
    page = client.post("/people/new/", form).content.decode()
    path = re.search(r"http://testserver(/password/[\w-]+/[\w-]+/)", page).group(1)
    visitor = Client()
    form_path = visitor.get(path)["Location"]
    visitor.post(form_path, {"new_password1": NEW, "new_password2": NEW})
    nina = User.objects.get(username="nina")
    assert nina.check_password(NEW)
    assert "Nina N." in client.get("/people/?search=nina").content.decode()
    assert "Nobody is called so" in client.get("/people/?search=zzz").content.decode()
    person = f"/people/{nina.pk}/"
    client.post(person + "rights/", {"can_create_projects": "on"})
    client.post(person + "deactivate/")
    nina.refresh_from_db()
    assert (nina.can_create_projects, nina.is_active) == (True, False)
    assert "Deactivated" in client.get(person).content.decode()
    client.post(person + "reactivate/")
    assert path not in client.get(person).content.decode()
    assert b"A link to choose a password" in client.post(person + "password-link/").content
    assert client.post(person + "forget/", {"confirmation": "nina"}).status_code == 302


def test_a_name_that_is_taken_is_said_at_its_field(cast: Cast) -> None:
    reply = signed_in(cast.ada).post("/people/new/", {"username": "Bob", "name": "Other"})
    assert reply.status_code == 422
    assert b"a user named Bob already" in reply.content


def test_the_page_warns_of_projects_left_without_a_manager(cast: Cast) -> None:
    page = signed_in(cast.ada).get(f"/people/{cast.mary.pk}/").content.decode()
    assert "The only manager of" in page
    assert (
        "The only manager of"
        not in signed_in(cast.ada).get(f"/people/{cast.bob.pk}/").content.decode()
    )


def test_the_list_costs_the_same_for_many(cast: Cast, django_assert_max_num_queries) -> None:
    for number in range(30):
        Membership.objects.create(
            project=cast.project, user=make_user(f"person{number}"), role="labeler"
        )
    client = signed_in(cast.ada)
    with django_assert_max_num_queries(6):
        assert "person29" in client.get("/people/").content.decode()


def test_the_command_prints_a_link_for_who_is_locked_out(cast: Cast) -> None:
    said = StringIO()
    call_command("password_link", "ADA", stdout=said)
    path = re.search(r"/password/\S+", said.getvalue()).group()
    assert b"You sign in as" in Client().get(path, follow=True).content
    with pytest.raises(CommandError, match="no user"):
        call_command("password_link", "nobody")
