"""The writing half of a judge's run: all of its database work, in the thread that has the job.

Every transaction runs under the guard (the job's fence), so a worker that lost its job writes
nothing more. Verdicts are written after the calls that they name.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

from django.db import OperationalError
from psycopg.errors import DeadlockDetected

from annotation.llm.errors import OF_THE_ENDPOINT
from annotation.services.call_store import (
    BATCH,
    DONE,
    REFUSED,
    CallStore,
    Settlement,
    Standing,
)
from annotation.services.judge_asking import STOPPED, Asker
from annotation.services.judge_desk import Desk, Ended, Failure, Subject, Wish, take

PATIENCE = 0.25
TICK_SECONDS = 0.5
PAGE = 200
NEWEST = 5
# Failures of the endpoint in a row, with no answer between them, after which the run pauses. What
# is wrong with the items fails them alone, unless nothing at all was answered before.
OUTAGE_AFTER, REFUSAL_AFTER = 20, 3
# So often in a row nothing that waits may fit under the cap before the run stops: an item or two
# that cost more than all that is left do not keep the others from being judged.
MOST_PASSED_BY = 20
OUT_OF_BUDGET, OUTAGE, ASKED_TO_STOP = "budget", "outage", "asked"

Guard = Callable[[], AbstractContextManager[None]]
Result = TypeVar("Result")


class Source(Protocol):
    """Where subjects come from, page by page; none: there are no more."""

    def page(self, size: int) -> list[Subject]: ...


@dataclass
class Counts:
    """What a run has come to, for those who watch."""

    items: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    newest: deque[Failure] = field(default_factory=lambda: deque(maxlen=NEWEST))

    @property
    def done(self) -> int:
        return self.items.total()


@dataclass(frozen=True)
class Ending:
    """`why` is empty when everything was asked. `cost`: of the cheapest call that the cap does not
    hold."""

    why: str = ""
    reason: str = ""
    cost: Decimal = Decimal(0)


class Work:
    """`keep` writes a batch of what has ended; `tick` tells who watches, and whether to stop."""

    def __init__(
        self,
        asker: Asker,
        store: CallStore,
        source: Source,
        *,
        guard: Guard,
        keep: Callable[[Sequence[Ended]], None],
        tick: Callable[[Counts], bool] = lambda counts: True,
        counts: Counts | None = None,
    ) -> None:
        self.asker, self.store, self.source = asker, store, source
        self.desk: Desk = asker.desk
        self.guard, self.keep, self.tick = guard, keep, tick
        self.counts = counts or Counts()
        self.ending = Ending()
        self._short: deque[Wish] = deque()
        self._is_tight = False
        self._passed_by = 0
        # Of the calls that the cap does not hold, the cheapest.
        self._dearer: Decimal | None = None
        # Those that the endpoint failed wait for an answer of it: perhaps it is down. Their calls
        # are `unknown`, so a run that ends before asks them again.
        self._held: list[Ended] = []
        self._in_a_row = self._vain = 0
        self._was_answered = bool(self.counts.calls[DONE])
        self._ticked = 0.0

    def perform(self) -> Ending:
        self.asker.start()
        try:
            while not self._is_over():
                self.desk.wait(PATIENCE)
                self._turn()
        finally:
            self.asker.abort()
        if self.desk.error is not None:
            raise self.desk.error
        if self._dearer is not None and not self.ending.why:
            self.ending = self._out_of_budget()
        self._let_go()
        return self.ending

    def _is_over(self) -> bool:
        desk = self.desk
        return desk.over and not (desk.wishes or desk.settlements or desk.ended)

    def _turn(self) -> None:
        self._book()
        # Counted before the settlements are looked at: what ends later may name a later one.
        while (ready := len(self.desk.ended)) and not self.desk.settlements:
            self._keep(take(self.desk.ended, min(ready, BATCH)))
        if self.desk.hungry and not self.ending.why:
            self._feed()
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            self._ticked = time.monotonic()
            if not self.tick(self.counts):
                self._stop(Ending(ASKED_TO_STOP))

    def _feed(self) -> None:
        page = self.source.page(PAGE)
        self.desk.hungry = False
        self.asker.offer(page, exhausted=not page)

    def _book(self) -> None:
        """What came back, and leave for what may go out, a batch of each in one transaction."""
        while self.desk.settlements or self.desk.wishes:
            settlements = take(self.desk.settlements, BATCH)
            wishes = self._next_wishes(retry=bool(settlements))
            if not (settlements or wishes):
                continue
            standings = self._steadily(partial(self._write, settlements, wishes))
            self._count(settlements)
            self._answer(wishes, standings)
        self._see_what_is_left()

    def _write(self, settlements: Sequence[Settlement], wishes: Sequence[Wish]) -> list[Standing]:
        if settlements:
            self.store.settle(settlements)
        return self.store.intend([wish.call for wish in wishes]) if wishes else []

    def _steadily(self, act: Callable[[], Result]) -> Result:
        """Once more where another run's transaction stood in the way: it has gone on by then."""
        try:
            with self.guard():
                return act()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
        with self.guard():
            return act()

    def _next_wishes(self, *, retry: bool) -> list[Wish]:
        """Those that the budget did not hold come first, when something was given back."""
        if self.ending.why or self.desk.over:
            self._refuse([*take(self._short, len(self._short)), *take(self.desk.wishes, BATCH)])
            return []
        if self._short and not retry:
            self._short.extend(take(self.desk.wishes, BATCH))
            return []
        short = take(self._short, BATCH)
        return short + take(self.desk.wishes, BATCH - len(short))

    def _answer(self, wishes: list[Wish], standings: list[Standing]) -> None:
        pairs = list(zip(wishes, standings, strict=True))
        self.asker.grant(pair for pair in pairs if pair[1].state != REFUSED)
        refused = [wish for wish, standing in pairs if standing.state == REFUSED]
        self._short.extendleft(reversed(refused))
        self._tighten()

    def _tighten(self) -> None:
        if self._is_tight != bool(self._short):
            self._is_tight = bool(self._short)
            self.asker.slow_down(self._is_tight)

    def _refuse(self, wishes: Iterable[Wish]) -> None:
        self.asker.grant((wish, Standing(STOPPED)) for wish in wishes)

    def _see_what_is_left(self) -> None:
        """With nothing out, no money comes back: what does not fit now waits for a larger cap."""
        if not self._short or self.store.out or self.desk.settlements or self.ending.why:
            return
        left = self._steadily(self.store.headroom)
        wishes = take(self._short, len(self._short))
        self._pass_by([wish for wish in wishes if wish.call.reserve > left])
        self._short.extend(wish for wish in wishes if wish.call.reserve <= left)
        self._passed_by = 0 if self._short else self._passed_by + 1
        if self._passed_by == MOST_PASSED_BY:
            self._stop(self._out_of_budget())
        elif wishes := take(self._short, BATCH):
            self._answer(wishes, self._steadily(partial(self._write, (), wishes)))
        else:
            self._tighten()

    def _pass_by(self, wishes: Sequence[Wish]) -> None:
        """Their items are left without a verdict, as those that a pause breaks off."""
        for wish in wishes:
            cost = wish.call.reserve
            self._dearer = cost if self._dearer is None else min(cost, self._dearer)
        self._refuse(wishes)

    def _out_of_budget(self) -> Ending:
        cost = (self._dearer or Decimal(0)).normalize()
        return Ending(OUT_OF_BUDGET, f"What is left may cost ${cost:f} a call, or more.", cost)

    def _stop(self, ending: Ending) -> None:
        if self.ending.why:
            return
        self.ending = ending
        self.asker.drain()
        self._refuse(take(self._short, len(self._short)))

    def _count(self, settlements: Sequence[Settlement]) -> None:
        for one in settlements:
            self.counts.calls[one.state] += 1
            if one.state == DONE:
                self._in_a_row, self._was_answered = 0, True
                continue
            kind, _, message = one.error.partition(": ")
            self.counts.failures[kind] += 1
            self.counts.newest.append(Failure(kind, message))
            if not one.asked_again:
                self._blame(kind, message)

    def _blame(self, kind: str, message: str) -> None:
        self._vain += 1
        self._in_a_row = self._in_a_row + 1 if kind in OF_THE_ENDPOINT else 0
        most = REFUSAL_AFTER if kind == "refused" else OUTAGE_AFTER
        if self._in_a_row >= most or (not self._was_answered and self._vain >= OUTAGE_AFTER):
            self._stop(Ending(OUTAGE, message))

    def _keep(self, ended: list[Ended]) -> None:
        ready = [one for one in ended if not _is_the_endpoints(one)]
        self._held += [one for one in ended if _is_the_endpoints(one)]
        if self._in_a_row == 0:
            ready += self._held
            self._held = []
        if not ready:
            return
        with self.guard():
            self.keep(ready)
        for one in ready:
            self.counts.items[one.outcome] += 1

    def _let_go(self) -> None:
        """What the endpoint failed stays to be asked again, unless the run comes to its end."""
        held, self._held = self._held, []
        if held and not (self.ending.why or self._was_answered):
            self.ending = Ending(OUTAGE, held[-1].failure.message if held[-1].failure else "")
        if self.ending.why:
            return
        for begin in range(0, len(held), BATCH):
            some = held[begin : begin + BATCH]
            with self.guard():
                self.keep(some)
            for one in some:
                self.counts.items[one.outcome] += 1


def _is_the_endpoints(ended: Ended) -> bool:
    return ended.failure is not None and ended.failure.kind in OF_THE_ENDPOINT
