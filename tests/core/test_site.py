from __future__ import annotations

import os
import re
import time

import pytest
from django.http import HttpResponseNotAllowed
from django.test import Client, RequestFactory
from django.urls import reverse

from core import health
from core.jobs import sweep
from core.middleware import ErrorMiddleware
from core.models import ApiToken
from core.services.api_token import create_api_token
from tests.cast import Cast

PASSWORD = "correct horse battery"


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_start_page_answers_without_sign_in(db) -> None:
    reply = Client().get("/")
    assert reply.status_code == 200
    assert reverse("core:sign-in") in reply.content.decode()


def test_signing_in_and_out(cast: Cast) -> None:
    client = Client()
    reply = client.post(reverse("core:sign-in"), {"username": "LENA", "password": PASSWORD})
    assert (reply.status_code, reply.headers["Location"]) == (302, "/")
    assert "Sign out" in client.get("/").content.decode()
    client.post(reverse("core:sign-out"))
    assert "Sign out" not in client.get("/").content.decode()


def test_a_wrong_password_is_refused_in_words(cast: Cast) -> None:
    reply = Client().post(reverse("core:sign-in"), {"username": "lena", "password": "no"})
    assert reply.status_code == 200
    assert "username or the password is wrong" in reply.content.decode()


def test_sign_in_goes_on_to_the_page_that_asked_but_to_no_other_site(cast: Cast) -> None:
    for asked, reached in (("/account/", "/account/"), ("https://evil.example/", "/")):
        sent = {"username": "lena", "password": PASSWORD, "next": asked}
        assert Client().post(reverse("core:sign-in"), sent).headers["Location"] == reached


def test_pages_have_no_inline_script_or_style(cast: Cast) -> None:
    for page in ("/", reverse("core:account"), reverse("core:sign-in")):
        reply = sign_in(cast.lena).get(page, follow=True)
        text = reply.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_theme_is_kept(db) -> None:
    client = Client()
    reply = client.post(reverse("core:theme"), {"theme": "dark", "next": "/sign-in/"})
    assert reply.headers["Location"] == "/sign-in/"
    assert 'data-theme="dark"' in client.get("/").content.decode()


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:1"])
def test_the_switch_leads_to_no_other_site(db, back: str) -> None:
    reply = Client().post(reverse("core:theme"), {"theme": "light", "next": back})
    assert reply.headers["Location"] == "/"


def test_an_unknown_theme_is_refused(db) -> None:
    assert Client().post(reverse("core:theme"), {"theme": "<b>"}).status_code == 400


def test_a_token_is_shown_once(cast: Cast) -> None:
    client = sign_in(cast.lena)
    sent = {"name": "My script", "scopes": ["read"], "days": "30"}
    text = client.post(reverse("core:create-token"), sent).content.decode()
    row = ApiToken.objects.get()
    [token] = re.findall(r"prefloop_[\w-]{43}", text)
    assert (row.user, row.name, row.scopes) == (cast.lena, "My script", ["read"])
    again = client.get(reverse("core:account")).content.decode()
    assert token not in again
    assert "My script" in again


def test_a_token_of_nobodys_scope_is_refused(cast: Cast) -> None:
    sent = {"name": "x", "scopes": ["admin"], "days": "30"}
    reply = sign_in(cast.lena).post(reverse("core:create-token"), sent)
    assert reply.status_code == 422
    assert not ApiToken.objects.exists()


def test_one_revokes_ones_own_tokens_only(cast: Cast) -> None:
    token, _ = create_api_token(user=cast.lena, name="x", scopes=["read"])
    revoke = reverse("core:revoke-token", args=[token.pk])
    assert sign_in(cast.bob).post(revoke).status_code == 404
    assert sign_in(cast.lena).post(revoke).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_the_password_changes_and_the_session_stays(cast: Cast) -> None:
    client = sign_in(cast.lena)
    new = "a different horse"
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(reverse("core:change-password"), sent).status_code == 302
    assert client.get(reverse("core:account")).status_code == 200
    cast.lena.refresh_from_db()
    assert cast.lena.check_password(new)


def test_a_short_password_is_refused(cast: Cast) -> None:
    sent = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert sign_in(cast.lena).post(reverse("core:change-password"), sent).status_code == 422


@pytest.mark.parametrize("name", ["account", "create-token", "change-password"])
def test_the_account_needs_a_sign_in(db, name: str) -> None:
    url = reverse(f"core:{name}")
    reply = Client().get(url) if name == "account" else Client().post(url)
    assert reply.status_code == 302
    assert reverse("core:sign-in") in reply.headers["Location"]


def test_health(db) -> None:
    assert Client().get("/healthz").content == b"ok\n"
    assert sweep()
    assert Client().get("/readyz").json() == {"ready": True, "problems": []}


def test_a_dead_sweeper_is_told(db) -> None:
    assert sweep()
    long_ago = time.time() - 3600
    os.utime(health.LAST_SWEEP, (long_ago, long_ago))
    dead = {"ready": False, "problems": ["sweeper"]}
    for _ in range(2):
        reply = Client().get("/readyz")
        assert (reply.status_code, reply.json()) == (503, dead)
        health.LAST_SWEEP.unlink(missing_ok=True)  # nor has there ever been one
    assert sweep()
    assert Client().get("/readyz").status_code == 200


def test_health_needs_no_database() -> None:
    assert Client().get("/healthz").status_code == 200


def test_an_unknown_page_says_so(db) -> None:
    reply = Client().get("/no/such/page/")
    assert reply.status_code == 404
    assert "nothing here for you" in reply.content.decode()


def test_a_lacking_right_is_nothing_to_mend_with_the_browser(cast: Cast) -> None:
    client = sign_in(cast.lena)
    refused = client.get(reverse("training:runs"))
    assert refused.status_code == 403
    assert "You may not do this" in refused.text
    assert "Ask one." in refused.text
    assert "Go back" not in refused.text


def test_an_address_for_forms_leads_to_the_page_above_it(cast: Cast) -> None:
    project = cast.project.pk
    for path, above in (
        (reverse("core:theme"), 'href="/"'),
        (reverse("annotation:judge-takes", args=[project, 7]), f"/projects/{project}/judges/7/"),
        (reverse("annotation:provider-price", args=[3, 5]), "/providers/3/models/"),
    ):
        reply = sign_in(cast.ada).get(path)
        assert (reply.status_code, reply.headers["Allow"]) == (405, "POST"), path
        page = reply.content.decode()
        assert "nothing was done" in page
        assert above in page
        assert "Prefloop</title>" in page
    other = sign_in(cast.ada).put(reverse("core:theme"))
    assert (other.status_code, other.content) == (405, b"")
    # The API says it in its own words.
    refusal = HttpResponseNotAllowed(["POST"])
    assert ErrorMiddleware(lambda _: refusal)(RequestFactory().get("/api/jobs")) is refusal


def test_a_page_links_each_style_once(cast: Cast) -> None:
    styles = re.findall(r'rel="stylesheet" href="([^"]+)"', Client().get("/").content.decode())
    assert len(styles) == len(set(styles))


def test_a_stale_form_says_so(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    reply = client.post(reverse("core:sign-in"), {"username": "lena", "password": PASSWORD})
    assert reply.status_code == 403
    assert "Reload the page" in reply.content.decode()


def test_an_ended_session_sends_the_page_to_sign_in_not_the_swap(db) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/projects/1/label/"}
    reply = Client().get(reverse("core:account"), headers=headers)
    assert reply.headers["HX-Redirect"] == "/sign-in/?next=%2Fprojects%2F1%2Flabel%2F"
    assert reply.content == b""


def test_a_plain_visit_to_a_guarded_page_is_redirected_as_ever(db) -> None:
    assert Client().get(reverse("core:account")).status_code == 302


@pytest.mark.filterwarnings("error")
def test_styles_and_scripts_come_straight_from_the_apps() -> None:
    reply = Client().get("/static/core/tokens.css")
    assert (reply.status_code, reply["Content-Type"]) == (200, 'text/css; charset="utf-8"')
