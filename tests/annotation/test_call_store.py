from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from annotation.models import Judge, JudgeCall, JudgeRun, Provider, ProviderModel
from annotation.services.call_store import (
    CallStore,
    NewCall,
    Settlement,
    lose_abandoned_calls,
)
from core.models import Job
from tests.cast import make_project

pytestmark = pytest.mark.django_db
ONE = Decimal(1)


@pytest.fixture
def judge() -> Judge:
    provider = Provider.objects.create(
        name="P", base_url="https://example.org/v1", timeout_seconds=60
    )
    model = ProviderModel.objects.create(provider=provider, name="m")
    return Judge.objects.create(
        project=make_project(), name="J", model=model, model_name="m", content_key="k"
    )


def run_of(judge: Judge, *, cap: int = 10, state: str = "running") -> JudgeRun:
    ended = timezone.now() if state in Job.ENDED else None
    job = Job.objects.create(
        kind="judge", queue="judge", state=state, lease_until=timezone.now(), finished_at=ended
    )
    return JudgeRun.objects.create(project=judge.project, judge=judge, cap=cap, job=job)


def store_of(run: JudgeRun) -> CallStore:
    return CallStore(run, timeout_seconds=60)


def call(key: str, *, reserve: Decimal = ONE, attempt: int = 1) -> NewCall:
    return NewCall(key, None, "judge/verdict", (1, 0), 0, attempt, '{"model": "m"}', reserve)


def states(store: CallStore, *calls: NewCall) -> list[str]:
    return [standing.state for standing in store.intend(calls)]


def done(number: int, cost: str, **fields: object) -> Settlement:
    return Settlement(number, Decimal(cost), "done", reply='{"text": "A"}', **fields)


def booked(run: JudgeRun) -> tuple[float, float]:
    """Reserved and spent."""
    return float(run.reserved), float(run.settled)


def age(seconds: int = 61) -> None:
    JudgeCall.objects.update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_a_call_is_written_and_its_cost_reserved_before_it_is_granted(judge: Judge) -> None:
    run = run_of(judge)
    assert states(store_of(run), call("a"), call("b")) == ["granted", "granted"]
    run.refresh_from_db()
    assert booked(run) == (2, 0)
    row = JudgeCall.objects.get(call_key="a")
    assert (row.state, row.shown_order) == ("intended", [1, 0])
    assert row.reserved_cost == 1
    assert row.parameters == {"model": "m"}


def test_what_the_cap_does_not_hold_is_refused_in_order(judge: Judge) -> None:
    run = run_of(judge, cap=2)
    store = store_of(run)
    wished = [call("a"), call("b", reserve=Decimal("1.5")), call("c")]
    assert states(store, *wished) == ["granted", "refused", "refused"]
    assert states(store, wished[2]) == ["granted"]
    run.refresh_from_db()
    assert run.reserved == run.cap == JudgeCall.objects.count()
    assert states(store, call("d", reserve=Decimal("0.01"))) == ["refused"]


def test_settling_books_the_cost_and_gives_the_rest_back(judge: Judge) -> None:
    run = run_of(judge)
    store = store_of(run)
    one, two = store.intend([call("a"), call("b")])
    store.settle([done(one.call, "0.25", prompt_tokens=7, completion_tokens=3, latency_ms=12)])
    run.refresh_from_db()
    assert booked(run) == (1, 0.25)
    row = JudgeCall.objects.get(pk=one.call)
    assert (row.state, row.prompt_tokens, row.latency_ms) == ("done", 7, 12)
    assert row.finished_at is not None
    # Told twice, it is booked once.
    store.settle([done(one.call, "0.25"), done(two.call, "0.5")])
    run.refresh_from_db()
    assert booked(run) == (0, 0.75)


def test_a_reply_dearer_than_its_reservation_stops_at_the_cap(judge: Judge) -> None:
    run = run_of(judge, cap=2)
    store = store_of(run)
    one, two = store.intend([call("a"), call("b")])
    store.settle([done(one.call, "5")])
    run.refresh_from_db()
    assert booked(run) == (1, 1)
    assert run.overrun == 4
    assert JudgeCall.objects.get(pk=one.call).settled_cost == 5
    # What is given back goes to what is owed, and nothing more is asked.
    store.settle([done(two.call, "0")])
    run.refresh_from_db()
    assert booked(run) == (0, 2)
    assert run.overrun == 3
    assert states(store, call("c", reserve=Decimal(0))) == ["refused"]


def test_a_reply_that_was_thought_lost_is_booked_at_what_it_cost(judge: Judge) -> None:
    run = run_of(judge)
    slow = store_of(run)
    (one,) = slow.intend([call("a")])
    age()
    assert states(store_of(run), call("a")) == ["unknown"]
    slow.settle([done(one.call, "0.25")])
    run.refresh_from_db()
    assert booked(run) == (0, 0.25)
    assert JudgeCall.objects.get(pk=one.call).state == "done"
    slow.settle([done(one.call, "0.25")])
    run.refresh_from_db()
    assert booked(run) == (0, 0.25)


def test_rewards_that_are_long_out_are_lost_after_their_provider_s_time_outs(judge: Judge) -> None:
    run = JudgeRun.objects.create(project=judge.project, judge=judge, cap=10, purpose="reward")
    store_of(run).intend([call("a")])
    age(15 * 60 + 5 * 60 - 10)
    assert lose_abandoned_calls() == 0
    age(15 * 60 + 5 * 60 + 10)
    assert lose_abandoned_calls() == 1


def test_a_call_that_is_done_is_told_and_not_asked_again(judge: Judge) -> None:
    first = store_of(run_of(judge))
    first.settle([done(first.intend([call("a")])[0].call, "1")])
    other = run_of(judge)
    (known,) = store_of(other).intend([call("a")])
    assert (known.state, known.reply) == ("done", {"text": "A"})
    other.refresh_from_db()
    assert other.reserved == 0


def test_the_same_call_wished_twice_is_granted_once(judge: Judge) -> None:
    run = run_of(judge)
    assert states(store_of(run), call("a"), call("a")) == ["granted", "busy"]
    run.refresh_from_db()
    assert run.reserved == 1


def test_a_call_that_another_worker_has_out_is_busy(judge: Judge) -> None:
    store_of(run_of(judge)).intend([call("a")])
    age()
    assert states(store_of(run_of(judge)), call("a")) == ["busy"]


def test_past_its_time_out_a_lost_call_is_booked_and_asked_once_more(judge: Judge) -> None:
    run = run_of(judge)
    store_of(run).intend([call("a")])
    after_the_kill = store_of(run)
    assert states(after_the_kill, call("a")) == ["busy"]
    age()
    assert states(after_the_kill, call("a")) == ["unknown"]
    run.refresh_from_db()
    assert booked(run) == (0, 1)
    assert states(after_the_kill, call("a 2", attempt=2)) == ["granted"]
    assert states(after_the_kill, call("a")) == ["unknown"]
    run.refresh_from_db()
    assert booked(run) == (1, 1)


def test_what_a_worker_has_out_itself_is_never_lost_to_it(judge: Judge) -> None:
    store = store_of(run_of(judge))
    store.intend([call("a")])
    age()
    assert states(store, call("a")) == ["busy"]


def test_lost_calls_of_an_ended_run_are_anothers_to_repeat(judge: Judge) -> None:
    ended = run_of(judge, state="cancelled")
    store_of(ended).intend([call("a")])
    age()
    assert states(store_of(run_of(judge)), call("a")) == ["unknown"]
    ended.refresh_from_db()
    assert booked(ended) == (0, 1)


def test_the_sweep_books_what_dead_workers_left(judge: Judge) -> None:
    ended, alive = run_of(judge, state="cancelled"), run_of(judge)
    store_of(ended).intend([call("a")])
    store_of(alive).intend([call("b")])
    assert lose_abandoned_calls() == 0
    age()
    assert lose_abandoned_calls() == 1
    assert JudgeCall.objects.get(call_key="b").state == "intended"
    ended.refresh_from_db()
    assert booked(ended) == (0, 1)


def test_what_failed_before_a_run_began_does_not_count_in_it(judge: Judge) -> None:
    run = run_of(judge)
    store = store_of(run)
    (one,) = store.intend([call("a")])
    store.settle([Settlement(one.call, Decimal(0), "unknown", error="server: down")])
    (known,) = store.intend([call("a")])
    assert (known.state, known.error, known.is_past) == ("unknown", "server: down", False)
    run.resumed_at = timezone.now()
    assert store_of(run).intend([call("a")])[0].is_past
    assert store_of(run_of(judge)).intend([call("a")])[0].is_past


def test_calls_are_written_in_one_order_whatever_the_order_of_the_wishes(judge: Judge) -> None:
    store_of(run_of(judge)).intend([call("c"), call("a"), call("b")])
    keys = JudgeCall.objects.order_by("pk").values_list("call_key", flat=True)
    assert list(keys) == ["a", "b", "c"]
