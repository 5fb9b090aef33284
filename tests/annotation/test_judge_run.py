from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection, transaction
from django.db.models import Sum
from psycopg.errors import DeadlockDetected

from annotation.llm import retry
from annotation.models import (
    Answer,
    Assignment,
    Item,
    JudgeCall,
    JudgeRun,
    JudgeVerdict,
    Judgment,
    Provider,
    ProviderState,
)
from annotation.selectors.judge import contents_of
from annotation.services.asked_call import messages_asked
from annotation.services.call_store import CallStore
from annotation.services.judge_answers import reward_run
from annotation.services.judge_asking import Asker
from annotation.services.judge_desk import Desk
from annotation.services.judge_run import pause_run, resume_run
from annotation.services.judge_source import ItemSource
from annotation.services.judge_work import Work
from annotation.services.perform_judge_run import plan_of
from core.errors import PrefloopError
from core.models import Job
from tests.asked_judges import (
    Court,
    fresh,
    make_asked_judge,
    make_items,
    make_priced_model,
    make_provider,
    work,
)
from tests.cast import make_project
from tests.llm_server import LlmServer, start_llm_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    with start_llm_server() as server:
        yield server


@pytest.fixture
def court(server: LlmServer, settings: LazySettings) -> Court:
    server.change(rates={}, verdict="hash", sleep_ms=0.0, position_bias=0.0)
    settings.EGRESS_ORIGINS = [server.url]
    project = make_project()
    return Court(
        project, make_asked_judge(project, make_priced_model(make_provider(server))), server
    )


def state_of(run: JudgeRun) -> str:
    return Job.objects.get(pk=run.job_id).state


def assert_books_balance(run: JudgeRun) -> None:
    run = fresh(run)
    paid = JudgeCall.objects.filter(run=run).aggregate(all=Sum("settled_cost"))["all"]
    assert run.settled == (paid or 0)
    assert run.reserved == 0
    assert run.settled <= run.cap


def test_every_item_gets_one_judgment_and_each_call_its_row(court: Court) -> None:
    items = make_items(court.project, 12)
    before = court.server.stats()
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    assert set(JudgeVerdict.objects.values_list("item_id", flat=True)) == {one.pk for one in items}
    assert Judgment.objects.filter(origin="judge").count() == 12
    assert not Assignment.objects.filter(takes_slot=True).exists()
    calls = JudgeCall.objects.filter(run=run)
    assert calls.count() == 24 == court.server.stats()["calls"] - before["calls"]
    assert set(calls.values_list("state", "attempt", "tries")) == {("done", 1, 1)}
    one = calls.first()
    assert one.parameters["model"] == "scripted"
    assert len(one.parameters["template"]) == 64
    assert one.parameters["guidelines"] == court.project.protocol.version
    assert one.item_id is not None
    content = contents_of(court.project, [one.item_id])[one.item_id]
    assert one.parameters["content"] == content.content_hash()
    assert one.reply["text"]
    assert one.verdict["outcome"] == "judged"
    assert one.prompt_tokens > 0
    assert 0 < one.settled_cost <= one.reserved_cost
    assert_books_balance(run)


def test_what_a_call_asked_can_be_made_again_until_its_texts_change(court: Court) -> None:
    (item,) = make_items(court.project, 1)
    court.server.change(rates={"wrong_schema": 1.0})
    run = court.run()
    sent = [one["body"]["messages"] for one in court.server.seen()[-4:]]
    calls = list(run.calls.all())
    assert {call.purpose for call in calls} == {"judge/verdict", "judge/repair"}
    for call in calls:
        assert messages_asked(call) in sent
    response = item.item_responses.get(position=0).response
    response.messages = [{"role": "assistant", "content": "Another text."}]
    response.save()
    assert [messages_asked(call) for call in calls] == [None] * 4


def test_a_verdict_names_its_calls_and_is_its_judgment(court: Court) -> None:
    make_items(court.project, 2)
    court.run()
    for verdict in JudgeVerdict.objects.select_related("judgment__assignment"):
        calls = JudgeCall.objects.filter(pk__in=verdict.calls)
        assert {(tuple(call.shown_order), call.item_id) for call in calls} == {
            ((0, 1), verdict.item_id),
            ((1, 0), verdict.item_id),
        }
        assert verdict.judgment.assignment.item_id == verdict.item_id
        assert verdict.judgment.duration_ms == sum(call.latency_ms for call in calls)
        answer = verdict.judgment.answers.get()
        assert verdict.detail["criteria"]["overall"]["answer"]["strength"] == answer.strength


def test_the_longer_answer_wins_whatever_its_place(court: Court) -> None:
    court.server.change(verdict="longer")
    (item,) = make_items(court.project, 1)
    second = item.item_responses.get(position=1).response
    second.messages = [{"role": "assistant", "content": "word " * 300}]
    second.save()
    court.run()
    assert Answer.objects.get().strength < 0


def test_soft_labels_are_kept_with_the_answer(court: Court) -> None:
    judge = make_asked_judge(court.project, court.judge.model, protocol="rlaif", name="Soft")
    make_items(court.project, 3)
    Court(court.project, judge, court.server).run()
    for answer in Answer.objects.all():
        assert len(answer.probabilities) == 1
        assert 0 < answer.probabilities[0] < 1
    assert Answer.objects.count() == 3


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
    resumed = work(resume_run(run=run, cap=Decimal(told["cost"]) * 2))
    assert resumed.job.state == "succeeded", resumed.job.error
    assert Judgment.objects.count() == 20
    assert court.server.stats()["answered_again"] == before
    assert_books_balance(resumed)


def test_nothing_is_asked_twice_by_another_run(court: Court) -> None:
    make_items(court.project, 3)
    court.run()
    with pytest.raises(PrefloopError, match="No item is left"):
        court.queue()
    # A verdict that was lost is made again of the calls that are there.
    before = court.server.stats()["calls"]
    JudgeVerdict.objects.all().update(judgment=None)
    JudgeVerdict.objects.all().delete()
    again = court.run()
    assert again.job.state == "succeeded"
    assert again.settled == 0
    assert court.server.stats()["calls"] == before
    assert JudgeVerdict.objects.filter(judgment__isnull=False).count() == 3


def test_one_items_failure_stops_no_other(court: Court) -> None:
    make_items(court.project, 30)
    court.server.change(rates={"400": 0.2})
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    outcomes = list(run.verdicts.values_list("outcome", flat=True))
    assert len(outcomes) == 30
    assert set(outcomes) == {"failed", "judged"}
    failed = run.verdicts.filter(outcome="failed")
    assert not failed.filter(judgment__isnull=False).exists()
    assert all(one.detail["kind"] == "rejected" for one in failed)
    assert run.job.result["failures"]["rejected"] >= failed.count()
    assert_books_balance(run)


def test_failed_items_are_asked_again_on_request(court: Court) -> None:
    make_items(court.project, 8)
    court.server.change(rates={"wrong_schema": 1.0})
    first = court.run()
    assert set(first.verdicts.values_list("outcome", flat=True)) == {"unparsable"}
    assert not Judgment.objects.exists()
    # One repair each, and the cost is booked although nothing could be read.
    assert set(first.calls.values_list("purpose", flat=True)) == {"judge/verdict", "judge/repair"}
    assert first.settled > 0
    with pytest.raises(PrefloopError, match="No item is left"):
        court.queue()
    court.server.change(rates={})
    again = court.run(selection={"again": True})
    assert again.job.state == "succeeded", again.job.error
    assert Judgment.objects.count() == 8 == again.verdicts.filter(outcome="judged").count()
    assert set(again.calls.values_list("attempt", flat=True)) == {2}


def test_a_provider_that_is_down_pauses_the_run(court: Court) -> None:
    make_items(court.project, 40)
    court.server.change(rates={"503": 1.0}, retry_after_form="none")
    run = work(court.queue(), patience=0.5)
    assert run.job.state == "failed"
    assert run.paused_at is not None
    assert run.job.error.startswith("Paused, because the provider answers no call")
    assert not run.verdicts.exists()
    assert_books_balance(run)
    court.server.change(rates={}, retry_after_form="both")
    court.judge.model.provider.state.__class__.objects.update(open_until=None, not_before=None)
    resumed = work(resume_run(run=run))
    assert resumed.job.state == "succeeded", resumed.job.error
    assert resumed.verdicts.filter(outcome="judged").count() == 40
    assert resumed.paused_at is None


def test_every_request_that_may_have_cost_is_a_row_that_is_booked(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    make_items(court.project, 20)
    court.server.change(rates={"malformed": 0.3})
    before = court.server.stats()
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    sent = court.server.stats()["calls"] - before["calls"]
    assert run.calls.count() == sent > 40
    unknown = run.calls.filter(state="unknown")
    assert unknown.count() == court.server.stats()["faults"]["malformed"] - before["faults"].get(
        "malformed", 0
    )
    assert all(one.settled_cost == one.reserved_cost for one in unknown)
    assert max(run.calls.values_list("attempt", flat=True)) <= 4
    assert_books_balance(run)


def test_after_four_attempts_its_item_fails_and_no_other(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.02)
    make_items(court.project, 1)
    court.server.change(rates={"malformed": 1.0})
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    assert {(one.outcome, one.detail["kind"]) for one in run.verdicts.all()} == {
        ("failed", "malformed")
    }
    assert sorted(run.calls.values_list("attempt", flat=True)) == sorted([1, 2, 3, 4] * 2)
    assert run.settled == sum(call.reserved_cost for call in run.calls.all())
    assert_books_balance(run)


def test_faults_of_many_items_in_a_row_are_no_outage(court: Court) -> None:
    make_items(court.project, 30)
    told = court.queue().estimate
    JudgeRun.objects.all().delete()
    run = court.run(cap=Decimal(told["likely_cost"]) / 4)
    judged = run.verdicts.count()
    assert judged > 0
    court.server.change(rates={"400": 1.0})
    run = work(resume_run(run=run, cap=Decimal(told["cost"]) * 2))
    assert run.job.state == "succeeded", run.job.error
    assert run.verdicts.filter(outcome="failed").count() == 30 - judged > 10


def test_where_nothing_was_ever_answered_it_pauses(court: Court) -> None:
    make_items(court.project, 30)
    court.server.change(rates={"404": 1.0})
    run = court.run()
    assert run.paused_at is not None
    assert "right?" in run.job.error
    failed = run.verdicts.count()
    assert 0 < failed < 30
    # These have failed by themselves; it goes on with the others.
    court.server.change(rates={})
    run = work(resume_run(run=run))
    assert run.verdicts.filter(outcome="judged").count() == 30 - failed


def test_an_outage_that_comes_again_fails_no_item(court: Court) -> None:
    make_items(court.project, 6)
    state = ProviderState.objects
    run = court.queue()
    for _ in range(3):
        court.server.change(rates={"503": 1.0}, retry_after_form="none")
        run = work(run, patience=0.2)
        assert not run.verdicts.exists(), run.job.error
        assert set(run.calls.values_list("state", flat=True)) == {"unknown"}
        state.update(open_until=None, not_before=None)
        run = resume_run(run=run)
    court.server.change(rates={}, retry_after_form="both")
    run = work(run)
    assert run.job.state == "succeeded", run.job.error
    assert run.verdicts.filter(outcome="judged").count() == 6
    assert_books_balance(run)


def test_a_deadlock_is_tried_once_more_and_nothing_else_is(court: Court) -> None:
    make_items(court.project, 1)
    run = court.queue()
    asker = Asker(plan_of(run, court.judge.model.provider, 1.0), Desk())
    store = CallStore(run, timeout_seconds=1)
    source = ItemSource(run)
    work = Work(asker, store, source, guard=transaction.atomic, keep=lambda ended: None)
    faults: list[Exception] = [OperationalError("deadlock"), OperationalError("gone")]
    faults[0].__cause__ = DeadlockDetected()

    def act() -> int:
        if faults:
            raise faults.pop(0)
        return 7

    with pytest.raises(OperationalError, match="gone"):
        work._steadily(act)
    faults.append(OperationalError("deadlock"))
    faults[0].__cause__ = DeadlockDetected()
    assert work._steadily(act) == 7
    faults.append(OperationalError("gone"))
    with pytest.raises(OperationalError, match="gone"):
        work._steadily(act)


def test_a_pause_lets_come_back_what_is_out(court: Court) -> None:
    make_items(court.project, 40)
    court.server.change(sleep_ms=150)
    run = court.queue()

    def pause() -> None:
        try:
            while not JudgeCall.objects.filter(run=run).exists():
                time.sleep(0.02)
            pause_run(run=run)
        finally:
            connection.close()

    thread = threading.Thread(target=pause)
    thread.start()
    paused = work(run)
    thread.join()
    assert paused.job.state == "cancelled"
    assert paused.paused_at is not None
    done = paused.verdicts.count()
    assert done < 40
    assert not paused.calls.filter(state="intended").exists()
    assert_books_balance(paused)
    court.server.change(sleep_ms=0)
    before = court.server.stats()["answered_again"]
    resumed = work(resume_run(run=paused))
    assert resumed.job.state == "succeeded"
    assert resumed.verdicts.count() == 40
    assert court.server.stats()["answered_again"] == before
    assert resumed.calls.count() == 80


def test_a_second_worker_fences_the_first(court: Court) -> None:
    make_items(court.project, 12)
    court.server.change(sleep_ms=400)
    run = court.queue()

    def take_over() -> None:
        try:
            while not JudgeCall.objects.filter(run=run).exists():
                time.sleep(0.02)
            Job.objects.filter(pk=run.job_id).update(fence=99)
        finally:
            connection.close()

    thread = threading.Thread(target=take_over)
    thread.start()
    fenced = work(run)
    thread.join()
    out = fenced.calls.filter(state="intended").count()
    assert fenced.job.state == "running"
    assert out > 0
    assert fenced.reserved > 0
    # The worker that has the job now: it waits for the time-out, and asks once more.
    Job.objects.filter(pk=run.job_id).update(state="queued", lease_until=None)
    court.server.change(sleep_ms=0)
    done = work(run)
    assert done.job.state == "succeeded", done.job.error
    assert done.verdicts.filter(outcome="judged").count() == 12
    lost = done.calls.filter(state="unknown")
    assert lost.count() == out
    assert all(call.settled_cost == call.reserved_cost for call in lost)
    assert done.calls.filter(attempt=2).count() == out
    assert_books_balance(done)


def test_repeats_and_canaries_are_no_judgments(court: Court) -> None:
    make_items(court.project, 6)
    court.run()
    repeat = court.run(purpose="repeat", selection={"limit": 4})
    assert repeat.job.state == "succeeded", repeat.job.error
    assert list(repeat.verdicts.values_list("purpose", flat=True)) == ["repeat 1"] * 4
    canary = court.run(purpose="canary", selection={"limit": 5})
    assert canary.job.state == "succeeded", canary.job.error
    purposes = set(canary.verdicts.values_list("purpose", flat=True))
    assert len(purposes) == 5
    assert all(one.startswith("canary ") for one in purposes)
    assert all(one.detail["target"] in (0, 1) for one in canary.verdicts.all())
    assert Judgment.objects.count() == 6
    assert not JudgeVerdict.objects.exclude(purpose="judge").filter(judgment__isnull=False)


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


def test_equal_texts_of_other_models_share_their_calls(court: Court) -> None:
    one, two = make_items(court.project, 2)
    Item.objects.filter(pk=two.pk).update(prompt=one.prompt)
    for mine, other in zip(
        one.item_responses.order_by("position"),
        two.item_responses.order_by("position"),
        strict=True,
    ):
        other.response.messages = mine.response.messages
        other.response.save()
    run = court.run()
    assert run.job.state == "succeeded", run.job.error
    assert run.calls.count() == 2
    assert run.verdicts.count() == 2


def test_a_retired_provider_is_not_asked(court: Court) -> None:
    make_items(court.project, 1)
    run = court.queue()
    provider = court.judge.model.provider
    provider.retired_at = run.created_at
    provider.save()
    assert "was retired" in work(run).job.error


def test_an_origin_that_nobody_allowed_is_told(court: Court, settings: LazySettings) -> None:
    make_items(court.project, 30)
    settings.EGRESS_ORIGINS = []
    run = court.run()
    assert run.job.state == "failed"
    assert "127.0.0.1" in run.job.error
    assert not run.verdicts.exists()
    assert_books_balance(run)
