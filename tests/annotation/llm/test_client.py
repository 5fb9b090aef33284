"""A call is answered or fails with one named error, through faults, limits and cancellation."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.conf import LazySettings
from django.db import connection

from annotation.judging.exchange import Request
from annotation.llm import limits, retry, shared_state
from annotation.llm.client import LlmClient
from annotation.llm.errors import CallFailed
from annotation.models import Provider, ProviderState
from annotation.services.provider import retire_provider, set_provider_key
from core.models import Secret
from core.secret_keys import add_key
from core.services.secret import rotate_secrets
from tests.annotation.llm.asking import KEY, request
from tests.cast import make_user
from tests.llm_server import LlmServer

Made = Callable[..., Provider]
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(retry, "MOST_SECONDS", 0.1)


def with_client(
    provider: Provider, work: Callable[[LlmClient], Awaitable[Result]], **options: Any
) -> Result:
    async def run() -> Result:
        async with LlmClient(provider, **options) as client:
            return await work(client)

    return asyncio.run(run())


def complete(provider: Provider, asked: Request | None = None, **options: Any) -> Any:
    return with_client(
        provider, lambda client: client.complete("scripted", asked or request()), **options
    )


def failure(provider: Provider, asked: Request | None = None, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        complete(provider, asked, **options)
    return failed.value


def test_a_completion_says_what_came_and_what_it_took(provider: Made) -> None:
    done = complete(provider(), request(top_logprobs=5))
    assert done.reply.text
    assert done.reply.tokens
    assert all(len(token.top) == 5 for token in done.reply.tokens)
    assert (done.model, done.fingerprint, done.tries) == ("scripted", "fp_scripted", 1)
    assert done.prompt_tokens > 0
    assert done.completion_tokens > 0


def test_the_request_is_sent_as_asked(provider: Made, server: LlmServer) -> None:
    schema = {"type": "object", "properties": {"verdict": {"enum": ["A", "B"]}}}
    complete(provider(), request(temperature=0.5, seed=3, schema=schema))
    body = server.seen()[-1]["body"]
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 3, 32)
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert "logprobs" not in body


def test_what_the_model_cannot_take_is_left_out_but_log_probabilities(
    provider: Made, server: LlmServer
) -> None:
    can = {"json_schema": False, "choices": False, "seed": False, "temperature": False,
           "length_as": "max_completion_tokens", "top_logprobs": 3, "logprobs": True}  # fmt: skip
    complete(provider(can), request(seed=3, choices=("A", "B"), top_logprobs=20))
    body = server.seen()[-1]["body"]
    assert sorted(body) == [
        "logprobs",
        "max_completion_tokens",
        "messages",
        "model",
        "top_logprobs",
    ]
    assert body["top_logprobs"] == 3


@pytest.mark.parametrize("way", ["structured_outputs", "guided_choice"])
def test_choices_go_by_the_name_that_the_probe_found(
    provider: Made, server: LlmServer, way: str
) -> None:
    done = complete(provider({"choices": True, "choices_as": way}), request(choices=("yes", "no")))
    assert done.reply.text in {"yes", "no"}
    assert way in server.seen()[-1]["body"]


def test_what_cannot_have_cost_is_tried_again(provider: Made, server: LlmServer) -> None:
    server.change(rates={"500": 0.3, "503": 0.1}, retry_after_form="none", seed=11)
    before = server.stats()["asked_again"]

    async def work(client: LlmClient) -> list[Any]:
        asked = [client.complete("scripted", request(f"Asked here only: {n}")) for n in range(60)]
        return await asyncio.gather(*asked)

    done = with_client(provider(concurrency=30), work, tries=12)
    again = server.stats()["asked_again"] - before
    assert len(done) == 60
    assert again > 0
    assert sum(one.tries for one in done) == 60 + again


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("malformed", "malformed"), ("dropped", "unreachable"), ("timeout", "timeout"),
     ("504", "server")],
)  # fmt: skip
def test_what_may_have_cost_is_sent_once_and_left_to_who_pays(
    provider: Made, server: LlmServer, fault: str, kind: str
) -> None:
    server.change(rates={fault: 1.0})
    before = server.stats()["calls"]
    failed = failure(provider(timeout_seconds=1 if kind == "timeout" else 20))
    assert (failed.kind, failed.tries, failed.may_have_cost, failed.may_repeat) == (
        kind, 1, True, True)  # fmt: skip
    assert server.stats()["calls"] == before + 1


def test_after_the_last_try_it_fails_and_says_so(provider: Made, server: LlmServer) -> None:
    server.change(rates={"500": 1.0})
    failed = failure(provider(), tries=3)
    assert (failed.kind, failed.status, failed.tries, failed.may_have_cost) == (
        "server", 500, 3, False)  # fmt: skip
    assert "500" in failed.message


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "422"])
def test_what_stays_wrong_is_asked_once(provider: Made, server: LlmServer, status: str) -> None:
    server.change(rates={status: 1.0})
    before = server.stats()["calls"]
    failed = failure(provider())
    assert (failed.tries, failed.status, failed.may_have_cost) == (1, int(status), False)
    assert server.stats()["calls"] == before + 1


def test_a_reply_without_the_log_probabilities_comes_with_what_it_cost(
    provider: Made, server: LlmServer
) -> None:
    server.change(ignored=["logprobs"])
    done = complete(provider(), request(top_logprobs=5))
    assert done.reply.text
    assert done.reply.tokens is None
    assert (done.tries, done.completion_tokens > 0) == (1, True)


@pytest.mark.parametrize("fault", ["refusal", "cut", "wrong_schema", "injected"])
def test_what_the_model_says_is_a_completion_whatever_it_says(
    provider: Made, server: LlmServer, fault: str
) -> None:
    server.change(rates={fault: 1.0})
    reply = complete(provider(), request(max_tokens=200)).reply
    assert bool(reply.refusal) == (fault == "refusal")
    assert (reply.finish_reason == "length") == (fault == "cut")


def test_a_slow_stream_ends_at_the_time_limit(provider: Made, server: LlmServer) -> None:
    server.change(rates={"slow": 1.0}, slow_ms=60_000)
    failed = failure(provider(timeout_seconds=1), tries=1)
    assert (failed.kind, failed.may_have_cost) == ("timeout", True)


def test_retry_after_holds_all_workers_back(provider: Made, server: LlmServer) -> None:
    server.change(rates={"429": 1.0}, retry_after=30)
    row = provider()
    failed = failure(row, tries=2, patience=1)
    assert failed.kind == "limited"
    server.change(rates={})
    before = server.stats()["calls"]
    # Another worker, which heard nothing itself.
    failed = failure(row, patience=1)
    assert (failed.kind, failed.tries, failed.may_have_cost) == ("limited", 0, False)
    assert server.stats()["calls"] == before


def test_too_many_calls_is_a_queue_and_not_a_fault(provider: Made, server: LlmServer) -> None:
    """Nobody said how fast it may go: the endpoint does, for longer than faults are borne."""
    server.change(rates={"429": 0.9}, retry_after_form="none")
    assert complete(provider(), request("Asked when it is busy"), tries=1).tries > 1
    server.change(rates={"429": 1.0}, retry_after_form="none")
    failed = failure(Provider.objects.get(), tries=1, patience=1)
    assert (failed.kind, failed.status, failed.may_have_cost) == ("limited", 429, False)
    assert failed.tries > 1


def test_after_retry_after_it_goes_on(provider: Made, server: LlmServer) -> None:
    server.change(rates={"429": 1.0}, retry_after=1)
    row, before = provider(), server.stats()["calls"]

    async def work(client: LlmClient) -> Any:
        call = asyncio.create_task(client.complete("scripted", request()))
        while server.stats()["calls"] == before:
            await asyncio.sleep(0.05)
        server.change(rates={})
        return await call

    assert with_client(row, work, tries=9).tries > 1
    assert ProviderState.objects.get(provider=row).not_before is not None


def test_an_endpoint_that_is_down_is_left_alone_and_found_well_again(
    provider: Made, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.llm.shared_state.FIRST_OPEN", 0.6)
    server.change(rates={"500": 1.0})
    row = provider(concurrency=10)

    async def down(client: LlmClient) -> list[Any]:
        asked = [client.complete("scripted", request(f"Question {n}")) for n in range(40)]
        return await asyncio.gather(*asked, return_exceptions=True)

    calls = server.stats()["calls"]
    failed = with_client(row, down, tries=3, patience=0.1)
    assert {type(one) for one in failed} == {CallFailed}
    # Forty calls of three tries each would have been 120.
    assert server.stats()["calls"] - calls < 60
    state = ProviderState.objects.get(provider=row)
    assert state.open_until is not None
    assert "500" in state.last_error
    server.change(rates={})
    assert len(with_client(row, down, tries=3, patience=30)) == 40
    state.refresh_from_db()
    assert [state.open_until, state.failures_in_a_row, state.last_error] == [None, 0, ""]


def test_a_request_limit_is_kept_by_two_workers_together(provider: Made, server: LlmServer) -> None:
    row = provider(requests_per_minute=600, concurrency=50)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with LlmClient(row) as one, LlmClient(row) as other:
            began = loop.time()
            await asyncio.gather(
                *(client.complete("scripted", request(f"Question {n}"))
                  for n in range(20) for client in (one, other))
            )  # fmt: skip
            return loop.time() - began

    # Forty calls at ten a second, of which a full bucket lets twenty go at once.
    assert asyncio.run(run()) >= 1.9


def test_a_token_limit_is_kept_and_what_was_not_used_comes_back(
    provider: Made, server: LlmServer
) -> None:
    row = provider(tokens_per_minute=60_000, concurrency=50)

    async def work(client: LlmClient) -> None:
        asked = (client.complete("scripted", request(f"Number {n}", max_tokens=400))
                 for n in range(40))  # fmt: skip
        await asyncio.gather(*asked)

    with_client(row, work)
    state = ProviderState.objects.get(provider=row)
    assert state.refilled_at is not None
    assert state.tokens_left <= 2_000


def test_the_loop_is_free_while_a_limit_is_waited_for(provider: Made) -> None:
    row = provider(requests_per_minute=60)

    async def work(client: LlmClient) -> int:
        ticks, calls = 0, [client.complete("scripted", request(str(n))) for n in range(4)]
        waiting = asyncio.gather(*calls)
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    # Two seconds of waiting: blocked, the loop would have ticked a few times only.
    assert with_client(row, work) > 15


def test_a_cancelled_call_gives_its_slot_back(provider: Made, server: LlmServer) -> None:
    server.change(sleep_ms=30_000)
    row = provider(concurrency=2)

    async def work(client: LlmClient) -> Any:
        calls = [
            asyncio.create_task(client.complete("scripted", request(str(n)))) for n in range(5)
        ]
        before = server.stats()["calls"]
        while server.stats()["calls"] < before + 2:
            await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in ended} == {asyncio.CancelledError}
        server.change(sleep_ms=0)
        return await client.complete("scripted", request())

    assert with_client(row, work).tries == 1


def test_the_key_is_sent_and_nowhere_else(
    provider: Made, server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.change(key=KEY)
    row = set_provider_key(provider=provider(), key=KEY, actor=make_user("ada", is_admin=True))
    assert complete(row).reply.text
    server.change(key="another")
    failed = failure(row)
    assert failed.kind == "refused"
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        dump = ""
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')  # noqa: S608
            dump += str(cursor.fetchall())
    seen = [caplog.text, dump, failed.message, repr(failed), repr(row), json.dumps(str(vars(row)))]
    assert not [text for text in seen if KEY in text or KEY[6:20] in text]


def test_a_retired_provider_is_not_asked(provider: Made) -> None:
    row = retire_provider(provider=provider(), actor=make_user("ada", is_admin=True))
    assert failure(row).kind == "refused"


@pytest.mark.parametrize("change", [
    lambda row, ada: retire_provider(provider=row, actor=ada),
    lambda row, ada: set_provider_key(provider=row, key=KEY, actor=ada),
    # Shorter than what is shown of a key, so its row looks as before.
    lambda row, ada: set_provider_key(provider=row, key="sesame2", actor=ada),
    lambda row, ada: Secret.objects.update(ciphertext=b"gone:"),
    lambda row, ada: Provider.objects.update(base_url="https://example.org/v1"),
])  # fmt: skip
def test_what_an_admin_changes_reaches_a_client_that_is_open(
    provider: Made, server: LlmServer, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Provider, Any], Any],
) -> None:  # fmt: skip
    monkeypatch.setattr(limits, "FRESH_SECONDS", 0.3)
    ada = make_user("ada", is_admin=True)
    row = set_provider_key(provider=provider(), key="sesame", actor=ada)

    async def work(client: LlmClient) -> CallFailed:
        await client.complete("scripted", request("Before."))
        await asyncio.get_running_loop().run_in_executor(None, _closing(change), row, ada)
        before = server.stats()["calls"]
        await asyncio.sleep(0.4)
        with pytest.raises(CallFailed) as failed:
            await client.complete("scripted", request("After."))
        assert server.stats()["calls"] == before
        return failed.value

    failed = with_client(row, work)
    assert (failed.kind, failed.tries, failed.may_have_cost) == ("refused", 0, False)


def test_a_key_that_is_encrypted_anew_is_the_same(
    provider: Made, settings: LazySettings, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    row = set_provider_key(provider=provider(), key=KEY, actor=make_user("ada", is_admin=True))
    door = shared_state.door_of(row.pk)
    add_key()
    assert rotate_secrets() == 1
    assert door is not None
    assert door == shared_state.door_of(row.pk)
    assert KEY not in repr(door)


def _closing(change: Callable[..., Any]) -> Callable[..., None]:
    def run(*given: Any) -> None:
        try:
            change(*given)
        finally:
            connection.close()

    return run


def test_most_calls_cost_no_query(provider: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, take = [], shared_state.take

    def counted(*given: Any, **named: Any) -> Any:
        asked.append(given)
        return take(*given, **named)

    monkeypatch.setattr(shared_state, "take", counted)

    async def work(client: LlmClient) -> None:
        for _ in range(10):
            await asyncio.gather(*(client.complete("scripted", request()) for _ in range(30)))

    row = provider(requests_per_minute=600_000, tokens_per_minute=600_000_000, concurrency=30)
    began = time.monotonic()
    with_client(row, work)
    # One a second, and one more where a chunk was used up.
    assert len(asked) <= 2 + 2 * (time.monotonic() - began)
