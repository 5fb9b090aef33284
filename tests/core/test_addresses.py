"""Whose word is taken for where a request comes from, and where links lead."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from core.addresses import absolute_url, client_address

FORGED = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7, 192.0.2.9"}


def test_without_a_proxy_nobody_may_name_their_own_address(rf: RequestFactory) -> None:
    assert client_address(rf.get("/", **FORGED)) == "10.0.0.1"


def test_behind_a_proxy_its_word_counts_and_no_earlier_one(rf: RequestFactory, settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert client_address(rf.get("/", **FORGED)) == "192.0.2.9"
    assert client_address(rf.get("/", REMOTE_ADDR="10.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("public", "link"),
    [("", "http://testserver/join/x/"), ("https://a.example/", "https://a.example/join/x/")],
)
def test_links_lead_to_the_public_address(rf, settings, public: str, link: str) -> None:
    settings.PUBLIC_URL = public
    assert absolute_url(rf.get("/people/"), "/join/x/") == link
