"""One provider's models: every call ends as a Completion or as one CallFailed.

The openai client carries the calls; what it would do by itself is done here, where all workers know
of it: retries, Retry-After, limits, the breaker. Its models of replies are not used: a reply is
read as plain JSON, which costs a fraction and believes less.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from annotation.judging.exchange import Reply, Request
from annotation.judging.tokens import likely_tokens
from annotation.llm import replies, retry
from annotation.llm.bodies import Abilities, body_of
from annotation.llm.endpoint import Endpoint, open_endpoint
from annotation.llm.errors import CallFailed
from annotation.llm.limits import Limits
from annotation.llm.troubles import RAISED, Trouble, trouble_of
from annotation.models import Provider

TRIES = 5
# How long a call waits for a provider that is down, or has too many calls.
PATIENCE_SECONDS = 300.0
# Nobody is left alone for longer because of what one reply said.
LONGEST_HOLD = 3600.0


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply and what it took. `tries` before the last were turned away, and cost nothing."""

    reply: Reply
    model: str
    fingerprint: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    latency_ms: int
    tries: int


class Answer(NamedTuple):
    """A reply's JSON, which holds at least one choice with a message."""

    body: dict[str, Any]
    latency_ms: int
    tries: int


class LlmClient:
    """Made from a provider's row; `async with` reads its key and opens its connections."""

    def __init__(
        self,
        provider: Provider,
        *,
        tries: int = TRIES,
        patience: float = PATIENCE_SECONDS,
        concurrency: int | None = None,
    ) -> None:
        self._provider_id = provider.pk
        self._tries = tries
        self._patience = patience
        self._slots = asyncio.Semaphore(concurrency or provider.concurrency)
        self._limits = Limits(
            provider.pk, trial_seconds=provider.timeout_seconds + 5.0, patience=patience
        )
        self._can: dict[str, Abilities] = {}
        self._endpoint: Endpoint | None = None
        # When each request that is out was sent, by the wall clock.
        self.sent: dict[object, float] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._limits.enter()
            self._endpoint, self._can = await self._limits.run(open_endpoint, self._provider_id)
        except BaseException:
            await self._limits.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._endpoint is not None:
                await self._endpoint.aclose()
        finally:
            await self._limits.aclose()

    async def complete(self, model: str, request: Request) -> Completion:
        """Raises CallFailed; what the model itself answered, refusals included, is a Completion.

        Its reply has no tokens where the endpoint gave no log-probabilities that can be read.
        """
        body = body_of(model, request, self._can.get(model, {}))
        tokens = likely_tokens(request.messages) + request.max_tokens
        answer = await self.exchange(body, tokens=tokens)
        try:
            reply = replies.reply_of(answer.body, wants_logprobs=request.top_logprobs > 0)
        except replies.MissingLogprobs:  # a fault to whoever reads it, who knows what it cost
            reply = replies.reply_of(answer.body, wants_logprobs=False)
        usage = replies.usage_of(answer.body, request, reply)
        self._limits.give_back(tokens - usage.prompt - usage.completion)
        return Completion(
            reply,
            replies.name_of(answer.body, "model"),
            replies.name_of(answer.body, "system_fingerprint"),
            *usage,
            *answer[1:],
        )

    async def exchange(self, body: dict[str, Any], *, tokens: float) -> Answer:
        """Sends a body until an answer stands in the reply; again only what cannot have cost."""
        content, began = json.dumps(body).encode(), time.monotonic()
        tries = faults = 0
        while True:
            try:
                found = await self._try(content, tokens)
            except CallFailed as error:
                error.tries = tries
                raise
            tries += 1
            if not isinstance(found, Trouble):
                return Answer(*found, tries)
            faults += found.kind != "limited"
            await self._heed(found)
            if not self._goes_on(found, faults, time.monotonic() - began):
                raise found.failure(tries=tries)
            # The slot is another call's meanwhile.
            await asyncio.sleep(max(0.0, retry.back_off(tries) - (found.retry_after or 0.0)))

    async def _heed(self, trouble: Trouble) -> None:
        """Whoever names a time means it: all workers keep to it."""
        if trouble.retry_after is not None:
            await self._limits.hold(min(LONGEST_HOLD, trouble.retry_after))

    def _goes_on(self, trouble: Trouble, faults: int, seconds: float) -> bool:
        if trouble.may_have_cost:
            return False
        if trouble.kind == "limited":
            # Not a fault, but a queue: it ends when its time is up, not after so many tries.
            return trouble.may_retry and seconds + (trouble.retry_after or 0.0) <= self._patience
        return trouble.may_retry and faults < self._tries

    async def _try(self, content: bytes, tokens: float) -> tuple[dict[str, Any], int] | Trouble:
        """The reply's JSON and its milliseconds. Raises CallFailed when nothing could be sent."""
        if self._endpoint is None:
            raise RuntimeError("Open the client first: async with LlmClient(provider) as client")
        async with self._slots:
            is_trial = await self._limits.admit(tokens)
            began, mark = time.perf_counter(), object()
            self.sent[mark] = time.time()
            try:
                body = await self._endpoint.ask(content)
            except RAISED as error:
                trouble = trouble_of(error, self._endpoint.clean)
            else:
                await self._limits.succeeded(is_trial=is_trial)
                return body, round((time.perf_counter() - began) * 1000)
            finally:
                del self.sent[mark]
        if trouble.is_outage:
            await self._limits.failed(trouble.message, is_trial=is_trial)
        else:
            await self._limits.succeeded(is_trial=is_trial)
        if not trouble.may_have_cost:
            self._limits.give_back(tokens)
        return trouble
