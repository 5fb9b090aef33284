"""What a model can do at its endpoint, found by asking: ten small calls.

An endpoint that ignores a parameter answers as if it were not there, so each ability is asked for
in a way whose success cannot be chance: words that nobody says, numbers that nobody repeats.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from annotation.judging.tokens import likely_tokens
from annotation.llm import replies
from annotation.llm.bodies import CHOICES_AS, LENGTH_AS, choices_part, plain_body, schema_part
from annotation.llm.client import LlmClient
from annotation.llm.errors import CallFailed
from annotation.models import Provider

TRIES = 3
PATIENCE_SECONDS = 30.0
# Somebody waits for it in front of a page.
LONGEST_SECONDS = 90.0
GREETING = "Say hello."
RANDOM = "Write twelve random words of different languages, nothing else."
# Endpoints differ in how many they give at most; OpenAI and ours give 20.
TOP_LOGPROBS = (20, 5, 1)
CHOICES = ("zinc-4417", "opal-9026")
SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": ["vermilion-31", "celadon-58"]},
        "count": {"type": "integer", "enum": [8143, 2967]},
    },
    "required": ["colour", "count"],
    "additionalProperties": False,
}
# Some endpoints fail so over what they cannot do, and all of them fail so now and then.
_UNSURE = {"server", "malformed"}


def probe_in_thread(provider: Provider, model: str) -> dict[str, Any]:
    """`probe` for callers without an event loop of their own, or with one that must not wait."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(probe(provider, model))).result()


async def probe(provider: Provider, model: str) -> dict[str, Any]:
    """The abilities, for ProviderModel.can. Raises CallFailed when the model does not answer.

    logprobs, n, seed, json_schema, choices, temperature: whether; top_logprobs: how many;
    length_as, choices_as: the parameters' names at this endpoint. What it failed over, instead of
    answering or refusing, is left out: it is not known.
    """
    try:
        async with (
            asyncio.timeout(LONGEST_SECONDS),
            LlmClient(provider, tries=TRIES, patience=PATIENCE_SECONDS) as client,
        ):
            return await _Asked(client, model).all()
    except TimeoutError as error:
        message = f"Ten small calls took longer than {LONGEST_SECONDS:.0f} s; it is too busy."
        raise CallFailed("timeout", message, may_have_cost=True) from error


class _Asked:
    def __init__(self, client: LlmClient, model: str) -> None:
        self._client = client
        self._model = model
        self.can: dict[str, Any] = {}
        # The parts whose question failed, by their task.
        self._unsure: set[asyncio.Task[Any] | None] = set()

    async def all(self) -> dict[str, Any]:
        self.can["length_as"] = await self.length_as()
        parts = (self.temperature, self.logprobs, self.several, self.schema, self.choices)
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._known(part)) for part in parts]
        except* CallFailed as failed:
            raise failed.exceptions[0] from None
        for one in asked:
            self.can |= one.result()
        # By itself: what is answered beside other calls may differ in the last bit.
        return self.can | await self._known(self.seed)

    async def _known(self, part: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Without the "no" that an error of the endpoint may have been."""
        task = asyncio.current_task()
        self._unsure.discard(task)
        found = await part()
        return {} if task in self._unsure and not all(found.values()) else found

    async def length_as(self) -> str:
        """The first call: what ails the endpoint, the key or the model's name shows here."""
        for name in LENGTH_AS[:-1]:
            try:
                await self._ask(GREETING, 8, {}, {"length_as": name})
            except CallFailed as error:
                if error.kind != "rejected" or LENGTH_AS[-1] not in error.message:
                    raise
            else:
                return name
        await self._ask(GREETING, 8, {}, {"length_as": LENGTH_AS[-1]})
        return LENGTH_AS[-1]

    async def temperature(self) -> dict[str, Any]:
        return {"temperature": await self._body(GREETING, 8, {"temperature": 0.0}) is not None}

    async def logprobs(self) -> dict[str, Any]:
        for most in TOP_LOGPROBS:
            more = {"logprobs": True, "top_logprobs": most}
            body = await self._body(GREETING, 4, more)
            if body is None:
                continue
            try:
                tokens = replies.reply_of(body, wants_logprobs=True).tokens or ()
            except replies.MissingLogprobs:
                break
            # A single certain token is what endpoints say that do not compute them.
            if any(len(token.top) > 1 for token in tokens) or most == 1:
                return {"logprobs": True, "top_logprobs": min(len(token.top) for token in tokens)}
            break
        return {"logprobs": False, "top_logprobs": 0}

    async def several(self) -> dict[str, Any]:
        body = await self._body(GREETING, 4, {"n": 2})
        return {"n": body is not None and len(body["choices"]) == 2}

    async def seed(self) -> dict[str, Any]:
        """Equal seeds give equal texts, and another seed another one."""
        texts = [await self._text(RANDOM, 24, _sampled(seed)) for seed in (7, 7)]
        if None in texts or texts[0] != texts[1]:
            return {"seed": False}
        for seed in (8, 9, 10):
            other = await self._text(RANDOM, 24, _sampled(seed))
            if other is not None and other != texts[0]:
                return {"seed": True}
        return {"seed": False}

    async def schema(self) -> dict[str, Any]:
        text = await self._text(GREETING, 64, schema_part(SCHEMA))
        return {"json_schema": text is not None and _obeys(text)}

    async def choices(self) -> dict[str, Any]:
        for way in CHOICES_AS:
            text = await self._text(GREETING, 32, choices_part(CHOICES, way))
            if text is not None and text.strip() in CHOICES:
                return {"choices": True, "choices_as": way}
        return {"choices": False}

    async def _text(self, prompt: str, length: int, more: dict[str, Any]) -> str | None:
        body = await self._body(prompt, length, more)
        return None if body is None else replies.reply_of(body, wants_logprobs=False).text

    async def _body(self, prompt: str, length: int, more: dict[str, Any]) -> dict[str, Any] | None:
        """None: it says that it cannot, or fails over the question."""
        try:
            return await self._ask(prompt, length, more, self.can)
        except CallFailed as error:
            if error.kind in _UNSURE:
                self._unsure.add(asyncio.current_task())
            elif error.kind != "rejected":
                raise
            return None

    async def _ask(
        self, prompt: str, length: int, more: dict[str, Any], can: dict[str, Any]
    ) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt}]
        body = plain_body(self._model, messages, length, can) | more
        tokens = likely_tokens(messages) + length
        for _ in range(TRIES - 1):
            try:
                return (await self._client.exchange(body, tokens=tokens)).body
            except CallFailed as error:
                if not error.may_repeat:
                    raise
        return (await self._client.exchange(body, tokens=tokens)).body


def _sampled(seed: int) -> dict[str, Any]:
    return {"seed": seed, "temperature": 1.0}


def _obeys(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    wanted: Sequence[str] = ("colour", "count")
    if not isinstance(value, dict) or sorted(value) != sorted(wanted):
        return False
    return all(value[name] in SCHEMA["properties"][name]["enum"] for name in wanted)  # type: ignore[index]
