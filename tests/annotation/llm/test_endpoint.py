"""One try at an endpoint: what is sent, and what each way of failing means."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from annotation.llm.endpoint import Endpoint
from annotation.llm.troubles import RAISED, Trouble, trouble_of
from tests.annotation.llm.asking import KEY
from tests.core.listener import Listener, reply
from tests.llm_server import LlmServer

BODY = {"model": "scripted", "messages": [{"role": "user", "content": "Say hello."}]}


def ask(url: str, key: str = "", *, seconds: float = 10, body: Any = BODY) -> Any:
    """The reply's JSON, or the trouble."""

    async def run() -> Any:
        endpoint = Endpoint(url, key, seconds=seconds)
        try:
            return await endpoint.ask(json.dumps(body).encode())
        except RAISED as error:
            return trouble_of(error, endpoint.clean)
        finally:
            await endpoint.aclose()

    return asyncio.run(run())


def test_an_answer_comes_back(server: LlmServer) -> None:
    assert ask(server.base_url)["choices"][0]["message"]["content"]


def test_the_key_goes_to_the_endpoint_and_without_one_none_does(server: LlmServer) -> None:
    ask(server.base_url, KEY)
    ask(server.base_url)
    assert [call["key"] for call in server.seen()[-2:]] == [f"Bearer {KEY}", ""]


def test_nothing_of_the_environment_goes_along(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-operator")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-of-the-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Token: header-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/")

    async def run() -> str:
        async with Listener(reply(b'{"choices": [{"message": {"content": "A"}}]}')) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            endpoint = Endpoint(f"{listener.origin}/v1", "", seconds=5)
            await endpoint.ask(b"{}")
            await endpoint.aclose()
            return listener.heads[0].lower()

    head = asyncio.run(run())
    assert head.startswith("post /v1/chat/completions")
    for word in ("secret", "sk-of", "authorization", "x-stainless-os", "x-stainless-runtime"):
        assert word not in head


@pytest.mark.parametrize(
    ("status", "kind", "may_retry", "may_have_cost"),
    [
        ("400", "rejected", False, False), ("401", "refused", False, False),
        ("403", "refused", False, False), ("404", "rejected", False, False),
        ("408", "server", True, True), ("409", "server", True, False),
        ("422", "rejected", False, False), ("429", "limited", True, False),
        ("500", "server", True, False), ("503", "server", True, False),
        ("501", "rejected", False, False), ("504", "server", True, True),
    ],
)  # fmt: skip
def test_each_status_has_its_meaning(
    server: LlmServer, status: str, kind: str, may_retry: bool, may_have_cost: bool
) -> None:
    server.change(rates={status: 1.0})
    trouble = ask(server.base_url)
    found = (trouble.kind, trouble.status, trouble.may_retry, trouble.may_have_cost)
    assert found == (kind, int(status), may_retry, may_have_cost)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("dropped", "unreachable"), ("malformed", "malformed"), ("timeout", "timeout"),
     ("slow", "timeout")],
)  # fmt: skip
def test_a_reply_that_does_not_come_whole_may_have_cost(
    server: LlmServer, fault: str, kind: str
) -> None:
    server.change(rates={fault: 1.0}, slow_ms=60_000)
    trouble = ask(server.base_url, seconds=1 if kind == "timeout" else 20)
    assert (trouble.kind, trouble.may_retry, trouble.may_have_cost) == (kind, True, True)


def test_no_connection_costs_nothing(settings: Any) -> None:
    settings.EGRESS_ORIGINS = ["http://127.0.0.1:9"]
    trouble = ask("http://127.0.0.1:9/v1")
    assert (trouble.kind, trouble.may_retry, trouble.may_have_cost) == ("unreachable", True, False)


def test_an_address_that_is_not_allowed_is_refused(server: LlmServer, settings: Any) -> None:
    settings.EGRESS_ORIGINS = []
    calls = server.stats()["calls"]
    trouble = ask(server.base_url)
    assert (trouble.kind, trouble.may_retry) == ("refused", False)
    assert "PREFLOOP_EGRESS_ORIGINS" in trouble.message
    assert server.stats()["calls"] == calls


def test_a_redirect_is_named_and_not_followed(server: LlmServer) -> None:
    server.change(rates={"redirect": 1.0})
    trouble = ask(server.base_url, KEY)
    assert (trouble.kind, trouble.status, trouble.may_retry) == ("refused", 302, False)


def answer_of(status: str, body: bytes, settings: Any, headers: str = "") -> Any:
    async def run() -> Any:
        async with Listener(reply(body, status, headers)) as listener:
            settings.EGRESS_ORIGINS = [listener.origin]
            endpoint = Endpoint(f"{listener.origin}/v1", KEY, seconds=5)
            try:
                return await endpoint.ask(b"{}")
            except RAISED as error:
                return trouble_of(error, endpoint.clean)
            finally:
                await endpoint.aclose()

    return asyncio.run(run())


def test_an_endpoint_that_repeats_the_key_does_not_get_it_stored(settings: Any) -> None:
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    trouble = answer_of("401 Unauthorized", said, settings)
    assert isinstance(trouble, Trouble)
    assert KEY not in trouble.message
    assert "[key]" in trouble.message
    said = json.dumps({"choices": [{"message": {"content": f"It is {KEY}."}}]}).encode()
    assert answer_of("200 OK", said, settings)["choices"][0]["message"]["content"] == "It is [key]."


def test_little_of_a_strangers_page_is_kept(settings: Any) -> None:
    trouble = answer_of("418 Teapot", b"<b>internal</b>" * 10_000, settings)
    assert len(trouble.message) < 300


def test_spent_credit_is_not_asked_for_again(settings: Any) -> None:
    said = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your quota."}}'
    trouble = answer_of("429 Too Many Requests", said, settings)
    assert (trouble.kind, trouble.may_retry) == ("refused", False)
