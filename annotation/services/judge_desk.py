"""What goes between the two threads of a judge's run: one talks to the model, one writes rows."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from annotation.judging.content import ItemContent
from annotation.judging.exchange import Chain
from annotation.judging.verdict import Combined
from annotation.selectors.judge_asked import Answered
from annotation.services.call_store import BATCH, NewCall, Settlement, Standing

# How long a call waits for others that could share its transaction.
LINGER = 0.02
JUDGED, UNPARSABLE, FAILED = "judged", "unparsable", "failed"

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: an item, or (`item` None) an answer of a model in training.

    `note` goes into the verdict's detail, for instance which response was injected.
    """

    number: int
    content: ItemContent
    purpose: str
    item: int | None = None
    first_attempt: int = 1
    # To its texts, before: what of it makes a chain's verdict is not asked again.
    answered: Mapping[Chain, Mapping[str, Answered]] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)


class Wish(NamedTuple):
    """For leave to make a call; the answer goes to the future, in the asking thread's loop."""

    call: NewCall
    standing: asyncio.Future[Standing]


class Failure(NamedTuple):
    """`kind` is CallFailed's, or one of a reply or an item: missing_logprobs, unfit."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A subject with what its calls came to."""

    subject: Subject
    outcome: str
    calls: list[int] = field(default_factory=list)
    combined: Combined | None = None
    failure: Failure | None = None
    # What the model took for its replies, one after the other.
    duration_ms: int = 0


class Desk:
    """Filled by the asking thread, emptied by the writing one."""

    def __init__(self, enough: int = BATCH) -> None:
        self.enough = enough
        self.wishes: deque[Wish] = deque()
        self.settlements: deque[Settlement] = deque()
        self.ended: deque[Ended] = deque()
        self.hungry = False
        self.over = False
        self.error: BaseException | None = None
        self._bell = threading.Event()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, queue: deque[Thing], thing: Thing) -> None:
        """Rings when there is enough for a batch, or after a moment. In the asking thread."""
        queue.append(thing)
        if len(self.wishes) + len(self.settlements) >= self.enough:
            self._bell.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._late)

    def ring(self) -> None:
        self._bell.set()

    def wait(self, seconds: float) -> None:
        self._bell.wait(seconds)
        self._bell.clear()

    def _late(self) -> None:
        self._timer = None
        self._bell.set()


def take(queue: deque[Thing], most: int) -> list[Thing]:
    """Other threads only append, so what was counted is there."""
    return [queue.popleft() for _ in range(min(most, len(queue)))]


def failed(subject: Subject, failures: Sequence[Failure], calls: list[int]) -> Ended:
    return Ended(subject, FAILED, calls, failure=failures[0])
