"""The asking half of a judge's run: an event loop in a thread of its own.

It asks for leave at the desk before each call and brings there what came of it; it never touches
the database. What it holds is bounded: some subjects that wait, and the chains that are open.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from annotation.judging.asking import chains, next_request
from annotation.judging.exchange import Chain, Reply, Request
from annotation.judging.keys import nonce
from annotation.judging.labels import MissingLogprobs
from annotation.judging.verdict import Verdict, combine, read_chain
from annotation.llm import retry
from annotation.llm.client import Completion
from annotation.llm.errors import CallFailed
from annotation.services.call_store import (
    BUSY,
    DONE,
    FAILED,
    GRANTED,
    LOST,
    UNKNOWN,
    NewCall,
    Standing,
)
from annotation.services.judge_desk import JUDGED, Desk, Ended, Failure, Subject, Wish, failed
from annotation.services.judge_rows import CallRows

STOPPED = "stopped"
# Rows of one call since the run was begun or resumed: each request that may have cost is one. Those
# that a crash lost count by themselves: never a third.
MOST_ATTEMPTS, MOST_LOST = 4, 2
LATER_SECONDS = 0.5
# Chains that are open beside those whose call is out: they wait for leave, or to be read.
MOST_AHEAD = 50
# What a broken protocol, template or reply may raise; it fails its item and no other.
UNREADABLE = (ValueError, LookupError, TypeError, ArithmeticError)


class Client(Protocol):
    @property
    def sent(self) -> Mapping[object, float]: ...
    async def complete(self, model: str, request: Request) -> Completion: ...


@dataclass(frozen=True)
class Plan:
    """Whom a run asks, and how. `secret` makes the delimiters unguessable.

    `concurrency` is what the client keeps out at once.
    """

    rows: CallRows
    secret: bytes
    concurrency: int
    client: Callable[[], AbstractAsyncContextManager[Client]]


@dataclass(slots=True)
class _Walk:
    """The way through a chain: what is asked next, and what was said so far."""

    subject: Subject
    content_hash: str
    chain: Chain
    mark: str
    next: Request | None = None
    replies: dict[str, Reply] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    latency_ms: int = 0
    verdict: Verdict | None = None
    failure: Failure | None = None
    # busy: another worker has a call of it out; stopped: the run ends before it did.
    broken_off: str = ""

    @property
    def is_over(self) -> bool:
        return bool(self.verdict or self.failure or self.broken_off)


class Asker:
    """All that is not private is for the writing thread."""

    def __init__(self, plan: Plan, desk: Desk) -> None:
        self.plan, self.desk, self.spec = plan, desk, plan.rows.spec
        self.waiting: deque[Subject] = deque()
        self.later: deque[Subject] = deque()
        self.open = 0
        self.most_open = plan.concurrency + min(plan.concurrency, MOST_AHEAD)
        self.exhausted = self.draining = self.tight = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent: Mapping[object, float] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge-asking", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def offer(self, subjects: Sequence[Subject], *, exhausted: bool) -> None:
        self._tell(self._offered, subjects, exhausted)

    def grant(self, answers: Iterable[tuple[Wish, Standing]]) -> None:
        self._tell(self._granted, list(answers))

    def slow_down(self, tight: bool) -> None:
        """While the budget is short nothing new is begun: what is begun goes first."""
        self._tell(self._tightened, tight)

    def drain(self) -> None:
        """What is out comes to its end, and nothing else is asked."""
        self._tell(self._drained)

    def sent(self) -> tuple[float, ...]:
        """When each request that is out was sent."""
        return tuple(self._sent.values())

    def abort(self) -> None:
        """Drops what is out, if anything still is."""
        self._tell(self._aborted)
        self._thread.join()

    def _tell(self, act: Callable[..., None], *values: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(act, *values)
        except RuntimeError:  # the loop has ended; why stands on the desk
            if not self.desk.over:
                raise

    # From here on all is in the asking thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  # the thread's boundary: raised in the other
            self.desk.error = error
        finally:
            self.desk.over = True
            self._ready.set()
            self.desk.ring()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        async with self.plan.client() as self._client:
            self._sent = self._client.sent
            self._ready.set()
            self._pump()
            try:
                await self._over
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _offered(self, subjects: Sequence[Subject], exhausted: bool) -> None:
        self.waiting.extend(subjects)
        self.exhausted = exhausted
        self.desk.hungry = False
        self._pump()

    def _granted(self, answers: list[tuple[Wish, Standing]]) -> None:
        for wish, standing in answers:
            if not wish.standing.done():
                wish.standing.set_result(standing)

    def _tightened(self, tight: bool) -> None:
        self.tight = tight
        self._pump()

    def _drained(self) -> None:
        self.draining = True
        self._pump()

    def _aborted(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _pump(self) -> None:
        """Begins what there is room for, and sees when more is needed or all is done."""
        if self.draining:
            self.waiting.clear()
            self.later.clear()
        while self.waiting and self.open < self.most_open and not self.tight:
            self._begin(self.waiting.popleft())
        is_all = self.exhausted or self.draining
        if not (is_all or self.desk.hungry) and len(self.waiting) < self.most_open:
            self.desk.hungry = True
            self.desk.ring()
        if is_all and not (self.open or self.waiting or self.later or self._over.done()):
            self._over.set_result(None)

    def _begin(self, subject: Subject) -> None:
        try:
            ways = chains(self.spec, subject.content)
        except UNREADABLE as error:
            self.desk.put(self.desk.ended, failed(subject, [_unfit(error)], []))
            return
        self.open += len(ways)
        task = self._loop.create_task(self._subject(subject, ways))
        self._tasks.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._over.done():
            return
        if error := task.exception():
            self._over.set_exception(error)
        else:
            self._pump()

    async def _subject(self, subject: Subject, ways: Sequence[Chain]) -> None:
        try:
            key = subject.content.content_hash()
            walks = await asyncio.gather(*(self._walk(subject, key, chain) for chain in ways))
        finally:
            self.open -= len(ways)
        if any(walk.broken_off == STOPPED for walk in walks):
            return
        if any(walk.broken_off for walk in walks):
            self._put_off(subject)
        else:
            self.desk.put(self.desk.ended, self._ended(subject, walks))

    def _put_off(self, subject: Subject) -> None:
        """It has no slot while it waits; what is answered of it is found again in the store."""
        self.later.append(subject)
        if len(self.later) == 1:
            self._loop.call_later(LATER_SECONDS, self._again)

    def _again(self) -> None:
        self.waiting.extend(self.later)
        self.later.clear()
        self._pump()

    def _ended(self, subject: Subject, walks: Sequence[_Walk]) -> Ended:
        calls = [call for walk in walks for call in walk.calls]
        failures = [walk.failure for walk in walks if walk.failure is not None]
        if failures:
            return failed(subject, failures, calls)
        verdicts = [(walk.chain, walk.verdict) for walk in walks if walk.verdict is not None]
        try:
            combined = combine(self.spec, subject.content, verdicts)
        except UNREADABLE as error:
            return failed(subject, [_unfit(error)], calls)
        took = sum(walk.latency_ms for walk in walks)
        return Ended(subject, combined.outcome, calls, combined, duration_ms=took)

    async def _walk(self, subject: Subject, content_hash: str, chain: Chain) -> _Walk:
        name = self.plan.rows.chain_key(content_hash, chain, subject.purpose)
        mark = nonce(self.plan.secret, name)
        known = _Walk(subject, content_hash, chain, mark)
        if self._is_known(known):
            return known
        walk = _Walk(subject, content_hash, chain, mark)
        self._go_on(walk)
        while walk.next is not None and not walk.is_over:
            await self._call(walk, walk.next)
        return walk

    def _is_known(self, walk: _Walk) -> bool:
        """Whether its verdict stands in what was answered before; else all of it is asked anew."""
        answered = walk.subject.answered.get(walk.chain)
        if not answered:
            return False
        self._go_on(walk)
        while walk.next is not None and not walk.is_over and walk.next.stage in answered:
            call, walk.replies[walk.next.stage] = answered[walk.next.stage]
            walk.calls.append(call)
            self._go_on(walk)
        return walk.verdict is not None and walk.verdict.outcome == JUDGED

    def _go_on(self, walk: _Walk) -> None:
        """To the next request of its chain, or to its verdict."""
        spec, content = self.spec, walk.subject.content
        try:
            walk.next = next_request(spec, content, walk.chain, walk.replies, nonce=walk.mark)
            if walk.next is None:
                walk.verdict = read_chain(spec, content, walk.chain, walk.replies)
        except MissingLogprobs as error:
            walk.failure = Failure("missing_logprobs", str(error))
        except UNREADABLE as error:
            walk.failure = _unfit(error)

    async def _call(self, walk: _Walk, request: Request) -> None:
        """Until it is answered, or was attempted often enough."""
        attempt, tried, lost = walk.subject.first_attempt, 0, 0
        while tried < MOST_ATTEMPTS and lost < MOST_LOST:
            wish, standing = await self._stand(walk, request, attempt)
            if standing.state == GRANTED:
                is_last = tried + 1 == MOST_ATTEMPTS
                if not await self._ask(walk, request, wish, standing.call, is_last=is_last):
                    return
                await asyncio.sleep(retry.back_off(tried + 1))
            elif standing.state != UNKNOWN:
                self._take_over(walk, request, standing)
                return
            else:
                lost += standing.error == LOST
            last = standing
            attempt, tried = attempt + 1, tried + (not standing.is_past)
        walk.failure = Failure(*_kind_and_words(last.error))

    async def _stand(self, walk: _Walk, request: Request, attempt: int) -> tuple[NewCall, Standing]:
        """Leave to make the call, or what it came to before."""
        rows = self.plan.rows
        wish = rows.wish(walk.subject, walk.content_hash, walk.chain, request, attempt)
        standing = Standing(STOPPED) if self.draining else await self._leave(wish)
        if standing.call:
            walk.calls.append(standing.call)
        return wish, standing

    def _take_over(self, walk: _Walk, request: Request, standing: Standing) -> None:
        if standing.state == DONE:
            walk.replies[request.stage] = Reply.from_json(standing.reply or {})
            self._go_on(walk)
        elif standing.state == FAILED:
            walk.failure = Failure(*_kind_and_words(standing.error))
        else:
            walk.broken_off = BUSY if standing.state == BUSY else STOPPED

    async def _leave(self, wish: NewCall) -> Standing:
        answer: asyncio.Future[Standing] = self._loop.create_future()
        self.desk.put(self.desk.wishes, Wish(wish, answer))
        return await answer

    async def _ask(
        self, walk: _Walk, request: Request, wish: NewCall, call: int, *, is_last: bool
    ) -> bool:
        """Whether it is to be asked again."""
        rows = self.plan.rows
        try:
            told = await self._client.complete(self.spec.model_name, request)
        except CallFailed as failure:
            again = failure.may_repeat and not is_last
            walk.failure = None if again else Failure(failure.kind, str(failure))
            settled = rows.failed(call, wish, failure, asked_again=again)
            self.desk.put(self.desk.settlements, settled)
            return again
        walk.replies[request.stage] = told.reply
        walk.latency_ms += told.latency_ms
        self._go_on(walk)
        broken = ""
        if walk.failure is not None:
            broken = f"{walk.failure.kind}: {walk.failure.message}"
        settlement = rows.answered(call, wish, told, walk.verdict, broken)
        self.desk.put(self.desk.settlements, settlement)
        return False


def _unfit(error: Exception) -> Failure:
    return Failure("unfit", f"The item cannot be asked or read: {error}")


def _kind_and_words(error: str) -> tuple[str, str]:
    """As a settlement has them: `kind: words`; of a lost call there are words only."""
    kind, found, words = error.partition(": ")
    return (kind, words) if found else (UNKNOWN, error)
