"""What a run books, and where its cap and a missing price stop it."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

import pytest
from django.db import connection

from annotation.llm import retry
from annotation.models import JudgeCall, JudgeRun, Judgment, Provider
from annotation.services.judge_answers import reward_run
from annotation.services.judge_run import cap_to_finish, resume_run
from core.errors import PrefloopError
from tests.asked_judges import Court, assert_books_balance, make_asked_judge, make_items, work

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_stops_at_its_cap_and_goes_on_under_another(court: Court) -> None:
    make_items(court.project, 20)
    before = court.server.stats()["answered_again"]
    told = court.queue().estimate
    JudgeRun.objects.all().delete()
    run = court.run(cap=Decimal(told["likely_cost"]) / 4)
    assert run.job.state == "failed"
    assert "holds no further call" in run.job.error
    done = run.verdicts.count()
    assert 0 < done < 20
    assert f"{done} of 20 items are done, {20 - done} are left" in run.job.error
    assert Judgment.objects.count() == done
    assert_books_balance(run)
    assert run.stopped_by_cap
    assert run.least_cap > run.cap
    with pytest.raises(PrefloopError, match=f"one of \\${run.least_cap.normalize():f} at least"):
        resume_run(run=run)
    enough = cap_to_finish(run=run)
    assert run.least_cap <= enough < Decimal(told["cost"]) * 2
    resumed = work(resume_run(run=run, cap=enough))
    assert resumed.job.state == "succeeded", resumed.job.error
    assert Judgment.objects.count() == 20
    assert court.server.stats()["answered_again"] == before
    assert_books_balance(resumed)


def test_every_request_that_may_have_cost_is_a_row_that_is_booked(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    make_items(court.project, 20)
    court.server.change(rates={"malformed": 0.3})
    before = court.server.stats()
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    after = court.server.stats()
    sent = after["calls"] - before["calls"]
    broken = after["faults"]["malformed"] - before["faults"].get("malformed", 0)
    unknown = run.calls.filter(state="unknown")
    # Under load one connection may end before the server has counted its request.
    cut = unknown.count() - broken
    assert 0 <= cut <= 1
    assert 40 < sent <= run.calls.count() <= sent + cut
    assert all(one.settled_cost == one.reserved_cost for one in unknown)
    assert max(run.calls.values_list("attempt", flat=True)) <= 4
    assert_books_balance(run)


def test_without_a_price_a_strange_endpoint_is_asked_within_a_limit_only(court: Court) -> None:
    court.judge.model.prices.all().delete()
    make_items(court.project, 3)
    Provider.objects.update(base_url="https://example.org/v1")
    court.judge.model.provider.refresh_from_db()
    for selection in ({}, {"unpriced": True}, {"limit": 2}):
        with pytest.raises(PrefloopError, match="No price is known"):
            court.queue(selection=selection)
    assert court.queue(selection={"unpriced": True, "limit": 2}).estimate["items"] == 2
    assert court.queue(purpose="trial").pk
    judge = make_asked_judge(
        court.project, court.judge.model, protocol="prometheus", kind="thumbs", name="Thumbs"
    )
    with pytest.raises(PrefloopError, match="No price is known"):
        reward_run(project=court.project, judge=judge, cap=Decimal(1), selection={})


def test_a_price_that_is_entered_meanwhile_is_booked_from_the_next_page_on(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.services.judge_work.PAGE", 10)
    prices = court.judge.model.prices
    row = prices.get()
    prices.all().delete()
    make_items(court.project, 40)
    court.server.change(sleep_ms=100)
    run = court.queue()

    def enter() -> None:
        try:
            while not JudgeCall.objects.filter(run=run).exists():
                time.sleep(0.02)
            row.save(force_insert=True)
        finally:
            connection.close()

    thread = threading.Thread(target=enter)
    thread.start()
    done = work(run)
    thread.join()
    assert done.job.state == "succeeded", done.job.error
    assert done.calls.filter(reserved_cost=0).exists()
    assert done.calls.filter(reserved_cost__gt=0).exists()
    assert done.settled > 0
    assert_books_balance(done)


def test_without_a_price_nothing_is_booked(court: Court) -> None:
    court.judge.model.prices.all().delete()
    make_items(court.project, 2)
    run = court.run(cap=Decimal(0))
    assert run.job.state == "succeeded"
    assert run.settled == 0


def test_a_reply_without_its_log_probabilities_is_kept_and_costs_what_it_cost(
    court: Court,
) -> None:
    judge = make_asked_judge(court.project, court.judge.model, protocol="rlaif", name="Soft")
    make_items(court.project, 2)
    court.server.change(rates={"no_logprobs": 1.0})
    run = Court(court.project, judge, court.server).run()
    assert run.job.state == "succeeded", run.job.error
    assert {(one.outcome, one.detail["kind"]) for one in run.verdicts.all()} == {
        ("failed", "missing_logprobs")
    }
    for call in run.calls.all():
        assert (call.state, call.tries) == ("failed", 1)
        assert call.error.startswith("missing_logprobs: ")
        assert call.reply["text"]
        assert call.prompt_tokens > 0
        assert 0 < call.settled_cost < call.reserved_cost
    assert run.calls.count() == 4
    assert_books_balance(run)
