"""The labeling page asked for and answered as its form does it, without a browser."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from annotation.models import Assignment
from tests.cast import Cast

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
