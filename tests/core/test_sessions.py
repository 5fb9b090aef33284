"""Sessions know their user; what is out of the ordinary signs nobody in."""

from __future__ import annotations

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from core.models import Session, User
from core.sessions import SessionStore, user_of
from tests.cast import make_user

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def request_of(client: Client):
    request = RequestFactory().get("/")
    request.session = SessionStore(client.session.session_key)
    return request


def test_one_query_finds_the_session_and_its_user() -> None:
    bob = make_user("bob")
    request = request_of(signed_in(bob))
    with CaptureQueriesContext(connection) as queries:
        assert user_of(request) == bob
    assert len(queries) == 1


def test_a_session_row_names_its_user_and_goes_with_them() -> None:
    bob = make_user("bob")
    client = signed_in(bob)
    assert Session.objects.get().user == bob
    bob.sessions.all().delete()
    assert user_of(request_of(client)).is_anonymous


def test_a_stranger_has_no_user() -> None:
    request = RequestFactory().get("/")
    request.session = SessionStore("nobody-has-this-key-in-the-table")
    assert user_of(request).is_anonymous


def test_a_deactivated_person_is_out_at_once() -> None:
    bob = make_user("bob")
    client = signed_in(bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert user_of(request_of(client)).is_anonymous


def test_a_changed_password_ends_the_other_sessions() -> None:
    bob = make_user("bob")
    client = signed_in(bob)
    bob.set_password("another long password 42")
    bob.save()
    assert user_of(request_of(client)).is_anonymous


def test_a_session_whose_data_name_somebody_else_is_not_believed_blindly() -> None:
    """The row's user and the signed data must agree; else Django's own way decides."""
    bob, eve = make_user("bob"), make_user("eve")
    client = signed_in(bob)
    Session.objects.update(user=eve)
    request = request_of(client)
    assert request.session[SESSION_KEY] == str(bob.pk)
    assert user_of(request) == bob


def test_an_expired_session_signs_nobody_in() -> None:
    client = signed_in(make_user("bob"))
    Session.objects.update(expire_date="2020-01-01T00:00:00Z")
    assert user_of(request_of(client)).is_anonymous
