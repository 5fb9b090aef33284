"""Wrong passwords are counted: guessers are stopped, and nobody else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import AuditEvent, User
from core.services.user import set_password
from tests.cast import Cast, make_user
from tests.races import in_threads

PASSWORD = "correct horse battery"
GUESS = "a wrong guess"
LIMIT = settings.AXES_FAILURE_LIMIT


def try_once(client: Client, username: str, password: str = GUESS, **extra):
    return client.post("/sign-in/", {"username": username, "password": password}, **extra)


def fail(username: str, times: int, client: Client | None = None) -> list[int]:
    client = client or Client()
    return [try_once(client, username).status_code for _ in range(times)]


def test_no_more_than_ten_tries_pass_however_many_are_made(cast: Cast) -> None:
    spellings = ["lena", "LENA", "Lena"]
    guesser = Client()
    for number in range(60):
        address = f"192.0.2.{number}"
        try_once(guesser, spellings[number % 3], REMOTE_ADDR=address, HTTP_USER_AGENT=address)
    assert AccessAttempt.objects.get().failures_since_start == LIMIT
    right = try_once(guesser, "lena", PASSWORD)
    assert right.status_code == 429
    assert "_auth_user_id" not in guesser.session


def test_the_page_says_what_happened_and_when_to_try_again(cast: Cast) -> None:
    client = Client()
    assert fail("lena", LIMIT, client)[-2:] == [200, 429]
    page = try_once(client, "lena")
    assert 14 * 60 <= int(page["Retry-After"]) <= 15 * 60
    assert "Too many wrong passwords" in page.content.decode()
    assert "Try again in 15 minutes" in page.content.decode()


def test_it_ends_and_tries_meanwhile_do_not_make_it_longer(cast: Cast) -> None:
    fail("lena", LIMIT)
    first = AccessAttempt.objects.get().attempt_time
    fail("lena", 5)
    assert AccessAttempt.objects.get().attempt_time == first
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert try_once(Client(), "lena", PASSWORD).status_code == 302


def test_an_owner_is_not_locked_out_of_the_own_device(cast: Cast) -> None:
    own = Client()
    assert try_once(own, "lena", PASSWORD).status_code == 302
    own.post("/sign-out/")
    fail("lena", LIMIT + 5)
    assert try_once(Client(), "lena", PASSWORD).status_code == 429
    assert try_once(own, "lena", PASSWORD).status_code == 302


def test_a_known_device_has_a_limit_too(cast: Cast) -> None:
    own = Client()
    try_once(own, "lena", PASSWORD)
    own.post("/sign-out/")
    assert fail("lena", LIMIT, own)[-1] == 429
    assert try_once(own, "lena", PASSWORD).status_code == 429


def test_a_device_is_known_to_its_own_account_only_and_cannot_be_forged(cast: Cast) -> None:
    thief = Client()
    try_once(thief, "mallory", PASSWORD)
    thief.post("/sign-out/")
    fail("lena", LIMIT)
    assert try_once(thief, "lena", PASSWORD).status_code == 429
    thief.cookies[settings.DEVICE_COOKIE_NAME] = "forged:by:hand"
    assert try_once(thief, "lena", PASSWORD).status_code == 429


def test_fifty_people_behind_one_address_do_not_lock_each_other_out(cast: Cast) -> None:
    people = [make_user(f"person{number}") for number in range(50)]
    for person in people:
        client = Client()
        assert fail(person.username, 2, client) == [200, 200]
        assert try_once(client, person.username, PASSWORD).status_code == 302


def test_names_that_nobody_has_are_counted_alike_and_not_kept(db) -> None:
    assert fail("my secret, typed in the wrong field", LIMIT + 1)[-1] == 429
    kept = " ".join(str(value) for value in AccessAttempt.objects.values_list().get())
    assert "secret" not in kept
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_tries_at_once_pass_no_more_than_one_by_one(cast: Cast) -> None:
    def guess(number: int) -> int:
        client = Client()
        return [try_once(client, "lena").status_code for _ in range(8)][-1]

    in_threads(4, guess)
    assert AccessAttempt.objects.get().failures_since_start <= LIMIT
    assert AuditEvent.objects.filter(action="lock_sign_in").count() <= 1


def test_a_new_password_opens_the_account_at_once(cast: Cast) -> None:
    fail("lena", LIMIT)
    set_password(user=cast.lena, password="three quiet otters", actor=cast.ada)
    assert try_once(Client(), "lena", "three quiet otters").status_code == 302


def test_the_old_password_cannot_be_guessed_on_the_account_page(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.lena)
    form = {"new_password1": "three quiet otters", "new_password2": "three quiet otters"}
    for _ in range(LIMIT):
        client.post("/account/password/", {"old_password": "guess", **form})
    reply = client.post("/account/password/", {"old_password": PASSWORD, **form})
    assert reply.status_code == 429
    kept = " ".join(str(value) for value in AccessAttempt.objects.values_list().get())
    assert "otters" not in kept
    cast.lena.refresh_from_db()
    assert cast.lena.check_password(PASSWORD)


def test_a_changed_password_ends_all_other_sessions(cast: Cast) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        try_once(client, "lena", PASSWORD)
    new = "three quiet otters"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/account/password/", form).status_code == 302
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


def test_the_trail_tells_of_sign_ins(cast: Cast) -> None:
    client = Client()
    fail("lena", 1, client)
    try_once(client, "lena", PASSWORD)
    client.post("/sign-out/")
    client.post("/sign-out/")
    events = list(AuditEvent.objects.order_by("pk").values_list("action", "target_id"))
    lena = str(cast.lena.pk)
    assert events == [("fail_sign_in", lena), ("sign_in", lena), ("sign_out", lena)]


def test_the_session_gets_a_new_key_when_somebody_signs_in(cast: Cast) -> None:
    client = Client()
    session = client.session
    session["before"] = True
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(session.session_key)
    try_once(client, "lena", PASSWORD)
    assert client.session.session_key != session.session_key


def test_who_is_signed_in_pays_nothing_for_it(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.lena)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get("/account/")
    assert not any("axes" in query["sql"] for query in queries)
    assert not any("axes" in one for one in settings.MIDDLEWARE)


def test_a_deactivated_account_is_no_different_from_a_wrong_password(cast: Cast) -> None:
    User.objects.filter(pk=cast.lena.pk).update(is_active=False)
    reply = try_once(Client(), "lena", PASSWORD)
    assert reply.status_code == 200
    assert "username or the password is wrong" in reply.content.decode()
