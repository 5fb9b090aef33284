"""What is shown when something breaks that nobody foresaw."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from core import health


def answer(monkeypatch: pytest.MonkeyPatch, error: Exception):
    def broken() -> list[str]:
        raise error

    monkeypatch.setattr(health, "problems", broken)
    return Client(raise_request_exception=False).get("/readyz")


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_is_away_comes_back(monkeypatch, error: Exception) -> None:
    reply = answer(monkeypatch, error)
    assert reply.status_code == 503
    assert int(reply["Retry-After"]) < 10
    assert "started again by itself" in reply.text


@pytest.mark.parametrize("error", [OperationalError("gone"), ValueError("nobody foresaw this")])
def test_a_program_is_told_in_json(monkeypatch, error: Exception) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("core.authentication.TokenAuthentication.authenticate", broken)
    reply = Client(raise_request_exception=False).get("/api/projects")
    is_away = isinstance(error, OperationalError)
    code, status = ("unavailable", 503) if is_away else ("error", 500)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert ("Retry-After" in reply) == is_away
    assert str(error) not in reply.text


def test_a_mistake_of_ours_is_one(monkeypatch) -> None:
    reply = answer(monkeypatch, ValueError("nobody foresaw this"))
    assert reply.status_code == 500
    assert "Our mistake" in reply.text
    assert "foresaw" not in reply.text
