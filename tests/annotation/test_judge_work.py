"""The writing half of a run: in which order it writes, and what it does when money is short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest
from django.db import transaction

from annotation.judging.content import Criterion, ItemContent
from annotation.models import Item, JudgeCall
from annotation.services.call_store import DONE, CallStore, Settlement
from annotation.services.judge_asking import Asker
from annotation.services.judge_desk import JUDGED, Desk, Ended, Subject
from annotation.services.judge_run import resume_run
from annotation.services.judge_source import ItemSource
from annotation.services.judge_work import Work
from annotation.services.perform_judge_run import plan_of
from tests.asked_judges import (
    Court,
    make_asked_judge,
    make_items,
    make_priced_model,
    make_provider,
    work,
)
from tests.cast import make_project
from tests.llm_server import LlmServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def court(server: LlmServer) -> Court:
    """One call at a time."""
    project, provider = make_project(), make_provider(server, concurrency=1)
    return Court(project, make_asked_judge(project, make_priced_model(provider)), server)


class Switching(deque[Settlement]):
    """Empty when it is looked at; by then the other thread has gone on."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def __bool__(self) -> bool:
        held = len(self) > 0
        if not held:
            self.meanwhile()
        return held


def ended(number: int) -> Ended:
    asked, said = {"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}
    content = ItemContent("thumbs", (asked,), ((said,),), (Criterion("good", "Good"),))
    return Ended(Subject(number, content, "judge"), JUDGED, [number])


def test_a_verdict_waits_for_a_settlement_that_comes_with_it(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_items(court.project, 1)
    run, desk = court.queue(), Desk()
    kept: list[Sequence[Ended]] = []
    asker = Asker(plan_of(run, court.judge.model.provider, 1.0), desk)
    writing = Work(
        asker,
        CallStore(run, timeout_seconds=1),
        ItemSource(run),
        guard=transaction.atomic,
        keep=kept.append,
    )
    first, second = ended(1), ended(2)

    def meanwhile() -> None:
        if second not in desk.ended:
            desk.settlements.append(Settlement(2, Decimal(0), DONE))
            desk.ended.append(second)

    monkeypatch.setattr(writing, "_book", lambda: None)
    desk.settlements = Switching(meanwhile)
    desk.ended.append(first)
    writing._turn()
    assert kept == [[first]]
    assert list(desk.ended) == [second]


def make_long(item: Item) -> None:
    response = item.item_responses.get(position=1).response
    response.messages = [{"role": "assistant", "content": "word " * 20_000}]
    response.save()


def test_an_item_that_costs_more_than_the_cap_holds_up_no_other(court: Court) -> None:
    items = make_items(court.project, 6)
    make_long(items[1])
    run = court.run(cap=Decimal("0.1"))
    assert run.job.state == "failed"
    assert "5 of 6 items are done, 1 are left. Raise the cap and resume." in run.job.error
    assert "What is left may cost $0.2" in run.job.error
    assert run.settled < Decimal("0.05")
    assert set(run.verdicts.values_list("item", "outcome")) == {
        (item.pk, "judged") for item in items if item != items[1]
    }
    assert not JudgeCall.objects.filter(item=items[1]).exists()
    done = work(resume_run(run=run, cap=Decimal(1)))
    assert done.job.state == "succeeded", done.job.error
    assert done.verdicts.count() == 6


def test_where_nothing_fits_it_looks_no_further_after_a_while(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.services.judge_work.PAGE", 2)
    monkeypatch.setattr("annotation.services.judge_work.MOST_PASSED_BY", 3)
    make_items(court.project, 30)
    run, pages = court.queue(cap=Decimal("0.000001")), []
    page = ItemSource.page
    monkeypatch.setattr(
        ItemSource, "page", lambda source, size: pages.append(size) or page(source, size)
    )
    run = work(run)
    assert "0 of 30 items are done, 30 are left" in run.job.error
    assert not run.calls.exists()
    assert 0 < len(pages) < 6
