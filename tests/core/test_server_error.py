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


def test_a_mistake_of_ours_is_one(monkeypatch) -> None:
    reply = answer(monkeypatch, ValueError("nobody foresaw this"))
    assert reply.status_code == 500
    assert "Our mistake" in reply.text
    assert "foresaw" not in reply.text
