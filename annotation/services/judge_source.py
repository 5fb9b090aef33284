"""Where a run's subjects come from: the items of its selection, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from annotation.judging.protocol import JudgeSpec
from annotation.models import JudgeRun, Protocol
from annotation.selectors.judge import contents_of, spec_of
from annotation.selectors.judge_asked import Before, asked_before
from annotation.selectors.judge_items import JudgeItems
from annotation.services.judge_desk import Subject

# More than the samples of an order.
SEEDS_OF_A_RUN = 100
NEVER = Before()


def purpose_of(run: JudgeRun) -> str:
    """As verdicts and calls have it: a repeat has its number."""
    return str(run.selection.get("purpose") or run.purpose)


def spec_for(run: JudgeRun) -> JudgeSpec:
    """A repeat sends other seeds: the same ones would only be answered the same way."""
    number = purpose_of(run).removeprefix("repeat ")
    shift = SEEDS_OF_A_RUN * int(number) if number.isdecimal() else 0
    return replace(spec_of(run.judge), seed_shift=shift)


def protocol_of(run: JudgeRun) -> Protocol:
    """The one it was queued with: criteria and guidelines do not change while it runs."""
    return run.protocol or run.project.protocol


class Glance(NamedTuple):
    """To estimate by: how many items a run has before it, and some of them at random."""

    items: int
    is_exact: bool
    some: list[Subject]
    # Lists of more responses than a judge is shown: left out.
    too_long: int = 0


class ItemSource:
    """The items that a run takes, each once, and no further than its limit."""

    def __init__(self, run: JudgeRun) -> None:
        self.run, self.purpose = run, purpose_of(run)
        self.protocol = protocol_of(run)
        self.items = JudgeItems(
            run.judge,
            run.project,
            run.selection,
            purpose=self.purpose,
            run=run.pk or 0,
            protocol=self.protocol,
        )
        self.done = run.verdicts.count() if run.pk else 0
        self._taken = self._after = 0
        # With a limit: which ones, drawn when the first is asked for.
        self._drawn: Iterator[int] | None = None

    @cached_property
    def total(self) -> int:
        return self.done + self.items.count(most=self._most())

    def page(self, size: int) -> list[Subject]:
        """The next ones; a page is shorter only when an item lost its prompt meanwhile."""
        while (left := self.total - self.done - self._taken) > 0:
            numbers = self._next(min(size, left))
            if not numbers:
                break
            self._taken += len(numbers)
            subjects = self._subjects(numbers)
            if subjects:
                return subjects
        return []

    def _next(self, size: int) -> list[int]:
        """By number where all are taken, else as they are drawn."""
        most = self._most()
        if most is None:
            numbers = self.items.page(self._after, size)
            self._after = numbers[-1] if numbers else self._after
            return numbers
        if self._drawn is None:
            self._drawn = iter(self.items.draw(most, seed=self.run.pk or 0))
        return list(islice(self._drawn, size))

    def glance(self, size: int) -> Glance:
        extent, most = self.items.extent(size), self._most()
        items = extent.count if most is None else min(extent.count, most)
        is_exact = extent.is_exact or items < extent.count
        return Glance(items, is_exact, self._subjects(extent.some), extent.too_long)

    def _most(self) -> int | None:
        """What its limit leaves."""
        limit = self.run.selection.get("limit")
        return None if limit is None else max(0, int(limit) - self.done)

    def _subjects(self, numbers: Sequence[int]) -> list[Subject]:
        contents = contents_of(self.run.project, numbers, self.protocol)
        before: Mapping[int, Before] = {}
        if self.run.selection.get("again"):
            run = self.run.pk or 0
            before = asked_before(self.run.judge, contents, purpose=self.purpose, run=run)
        known = [(number, before.get(number, NEVER)) for number in numbers if number in contents]
        return [
            Subject(
                number=number,
                content=contents[number],
                purpose=self.purpose,
                item=number,
                first_attempt=asked.last_attempt + 1,
                answered=asked.answered,
            )
            for number, asked in known
        ]
