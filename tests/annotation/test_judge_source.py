from __future__ import annotations

from decimal import Decimal

import pytest

from annotation.models import Assignment, Item, JudgeCall, JudgeVerdict, Judgment, Protocol
from annotation.services.judge_run import estimate_run, raise_cap, resume_run
from annotation.services.judge_source import ItemSource
from tests.asked_judges import Court, make_asked_judge, make_items, work
from tests.cast import make_item, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_keeps_the_guidelines_that_it_was_queued_with(court: Court) -> None:
    make_items(court.project, 3)
    run = court.queue()
    asked = court.project.protocol
    assert asked.frozen_at is not None
    newer = Protocol.objects.get(pk=asked.pk)
    newer.pk, newer.version, newer.guidelines = None, asked.version + 1, "The shorter one."
    newer.criteria = [{"key": "short", "name": "Short"}]
    newer.save()
    run = work(run)
    assert run.job.state == "succeeded", run.job.error
    assert set(Judgment.objects.values_list("protocol", flat=True)) == {asked.pk}
    # They are judged anew on request: what counts is then the newer answer.
    again = court.run(selection={"again": True})
    assert again.verdicts.count() == 3
    current = Judgment.objects.filter(pk__in=Assignment.objects.values("current"))
    assert set(current.values_list("protocol", "answers__criterion")) == {(newer.pk, "short")}
    assert JudgeVerdict.objects.count() == 3


@pytest.mark.parametrize(("both_orders", "orders"), [(True, 1), (False, 2)])
def test_a_judgment_has_its_order_where_it_has_one(
    court: Court, both_orders: bool, orders: int
) -> None:
    make_items(court.project, 24)
    judge = make_asked_judge(
        court.project, court.judge.model, name="One order", both_orders=both_orders
    )
    Court(court.project, judge, court.server).run()
    shown = {
        (call.item_id, tuple(call.shown_order)) for call in JudgeCall.objects.filter(judge=judge)
    }
    rows = Assignment.objects.values_list("item", "shown_order")
    told = {(item, tuple(order)) for item, order in rows}
    assert told <= shown
    assert len({order for _, order in told}) == orders


def test_a_limited_run_takes_the_same_items_when_it_goes_on(court: Court) -> None:
    prompts = [make_prompt(court.project) for _ in range(3)]
    for prompt in prompts * 5:
        make_item(court.project, prompt=prompt)
    run = court.queue(selection={"limit": 9}, cap=Decimal(10))
    drawn = ItemSource(run).items.draw(9, seed=run.pk)
    raise_cap(run=run, cap=Decimal(run.estimate["likely_cost"]) / 2)
    run = work(run)
    assert "holds no further call" in run.job.error
    assert 0 < run.verdicts.count() < 9
    run = work(resume_run(run=run, cap=Decimal(10)))
    assert run.job.state == "succeeded", run.job.error
    taken = run.verdicts.values_list("item", flat=True)
    assert sorted(taken) == sorted(drawn)
    assert sorted(Item.objects.filter(pk__in=drawn).values_list("prompt", flat=True)) == sorted(
        prompt.pk for prompt in prompts * 3
    )
    assert set(run.calls.values_list("item", flat=True)) == set(drawn)


def test_a_further_canary_run_goes_on_with_other_attacks(court: Court) -> None:
    make_items(court.project, 6)
    court.run()
    first = court.run(purpose="canary", selection={"limit": 5})
    told = estimate_run(project=court.project, judge=court.judge, purpose="canary")
    second = court.run(purpose="canary", selection={"limit": 5})
    assert (told.items, second.verdicts.count()) == (6, 5)
    purposes = [set(run.verdicts.values_list("purpose", flat=True)) for run in (first, second)]
    assert not purposes[0] & purposes[1]


def test_a_repeat_sends_other_seeds_in_the_same_orders(court: Court) -> None:
    make_items(court.project, 2)
    court.run()
    for number in (1, 2):
        court.run(purpose="repeat", selection={"limit": 2})
        calls = JudgeCall.objects.filter(purpose=f"repeat {number}/verdict")
        assert {call.parameters["seed"] for call in calls} == {100 * number}
        assert {tuple(call.shown_order) for call in calls} == {(0, 1), (1, 0)}
    first = JudgeCall.objects.filter(purpose="judge/verdict")
    assert {call.parameters["seed"] for call in first} == {0}
