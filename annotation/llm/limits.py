"""Lets calls go as fast as the provider allows all workers together, without blocking the loop.

What a worker took for itself is spent without a query and without waiting; when it is used up, or a
second old, one call asks the database again, in a thread, and the others queue behind it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from annotation.llm import shared_state
from annotation.llm.errors import CallFailed
from annotation.llm.shared_state import TRIPS_AT, Door, Taken
from core.errors import PrefloopError

# What other workers were told (Retry-After, an open breaker), and what an admin changed, is known
# here after so long at most.
FRESH_SECONDS = 1.0
LONGEST_NAP = 1.0

Result = TypeVar("Result")


class Limits:
    """One worker's view of a provider. `patience`: seconds that a call waits for a broken one."""

    def __init__(self, provider_id: int, *, trial_seconds: float, patience: float) -> None:
        self._provider_id = provider_id
        self._trial_seconds = trial_seconds
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="llm-limits")
        self._turn = asyncio.Lock()
        self._requests = self._tokens = 0.0
        self._fresh_until = 0.0
        self._failures = 0
        self._held_until = 0.0
        self._door: Door | None = None

    async def enter(self) -> None:
        """Before the endpoint is opened: calls go there as long as it is the provider's."""
        self._door = await self.run(shared_state.door_of, self._provider_id)

    async def admit(self, tokens: float) -> bool:
        """Returns when one request of `tokens` may go; True: it is the breaker's trial.

        Raises CallFailed when the provider stays closed for longer than the patience, and when it
        was retired, or its address or key changed.
        """
        if self._spend(tokens):
            return False
        began = time.monotonic()
        async with self._turn:
            while not self._spend(tokens):
                taken = await self.run(self._take, tokens)
                if taken.is_trial:
                    return True
                if taken.wait:
                    await self._wait(taken, began)
                else:
                    self._add(taken)
        return False

    def give_back(self, tokens: float) -> None:
        """What a call reserved and did not use serves the next ones."""
        self._tokens += tokens

    async def hold(self, seconds: float) -> None:
        """The provider asked to wait: told to all workers, once for calls that heard it at once."""
        until = time.monotonic() + seconds
        self._fresh_until = 0.0
        if until > self._held_until + 0.2:
            self._held_until = until
            await self.run(shared_state.hold, self._provider_id, seconds)

    async def succeeded(self, *, is_trial: bool) -> None:
        self._failures = 0
        if is_trial:
            await self.run(shared_state.close, self._provider_id)

    async def failed(self, error: str, *, is_trial: bool) -> None:
        """The endpoint itself is in trouble. A few failures between successes cost no query."""
        self._failures += 1
        if is_trial or self._failures >= TRIPS_AT:
            count, self._failures = self._failures, 0
            self._fresh_until = 0.0
            await self.run(
                shared_state.note_failures, self._provider_id, count, error, is_trial=is_trial
            )

    async def run(self, function: Callable[..., Result], *given: Any, **named: Any) -> Result:
        """Database work, in the one thread that has a connection for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: _steady(function, *given, **named))

    async def aclose(self) -> None:
        await self.run(_close)
        self._thread.shutdown(wait=False)

    def _spend(self, tokens: float) -> bool:
        if time.monotonic() >= self._fresh_until or self._requests < 1 or self._tokens < tokens:
            return False
        self._requests -= 1
        self._tokens -= tokens
        return True

    def _take(self, tokens: float) -> Taken:
        try:
            door = shared_state.door_of(self._provider_id)
        except PrefloopError as error:
            raise CallFailed("refused", error.message, tries=0) from error
        if door is None or door != self._door:
            what = "was retired" if door is None else "has another address or key now"
            raise CallFailed("refused", f"The provider {what}.", tries=0)
        return shared_state.take(self._provider_id, tokens, trial_seconds=self._trial_seconds)

    def _add(self, taken: Taken) -> None:
        now = time.monotonic()
        if now >= self._fresh_until:
            # What lay unused for so long is the bucket's again.
            self._requests = self._tokens = 0.0
        self._requests += taken.requests
        self._tokens += taken.tokens
        self._fresh_until = now + FRESH_SECONDS

    async def _wait(self, taken: Taken, began: float) -> None:
        nap = min(taken.wait, LONGEST_NAP)
        # A breaker may close sooner than it said; what the provider asked for stays.
        more = taken.wait if taken.is_asked else nap
        if taken.reason and time.monotonic() - began + more > self._patience:
            raise CallFailed(
                "limited" if taken.is_asked else "unreachable",
                f"The provider is left alone for another {taken.wait:.0f} s: {taken.reason}",
                tries=0,
            )
        # Workers that wake together spread a little.
        await asyncio.sleep(nap + random.uniform(0, 0.05 * nap))


def _steady(function: Callable[..., Result], *given: Any, **named: Any) -> Result:
    """Once more over a new connection where the old one is gone; each of these may be repeated."""
    try:
        return function(*given, **named)
    except (OperationalError, InterfaceError):
        connection.close()
        return function(*given, **named)


def _close() -> None:
    """Named here and not passed: `connection` is another one in each thread."""
    connection.close()
