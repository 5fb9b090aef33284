"""A run that is paused or taken over in the middle, and a transaction that is tried again."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

from annotation.models import JudgeCall, JudgeRun, Provider
from annotation.selectors.judge_pages import figures_of
from annotation.services.call_store import CallStore
from annotation.services.judge_asking import Asker
from annotation.services.judge_desk import Desk
from annotation.services.judge_run import pause_run, resume_run
from annotation.services.judge_source import ItemSource
from annotation.services.judge_work import Work
from annotation.services.perform_judge_run import plan_of
from core.models import Job
from tests.asked_judges import Court, assert_books_balance, make_items, work

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_pause_lets_come_back_what_is_out(court: Court) -> None:
    make_items(court.project, 40)
    court.server.change(sleep_ms=300)
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


def test_what_is_out_and_a_time_left_are_told_before_anything_is_done(court: Court) -> None:
    make_items(court.project, 2)
    work(court.queue())
    make_items(court.project, 20)
    JudgeCall.objects.update(latency_ms=60_000)
    court.server.change(sleep_ms=2000)
    run, told = court.queue(), []

    def watch() -> None:
        try:
            job = Job.objects.get(pk=run.job_id)
            while job.progress.get("out") != 8 and not job.is_over:
                time.sleep(0.02)
                job.refresh_from_db()
            told.append((job.progress, JudgeRun.objects.select_related("job").get(pk=run.pk)))
            pause_run(run=run)
        finally:
            connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    work(run)
    thread.join()
    progress, seen = told[0]
    assert (progress["done"], progress["out"]) == (0, 8)
    # Of 40 calls of a minute, eight at a time.
    assert 290 < progress["seconds_left"] <= 300
    assert seen.job.seconds_left == progress["seconds_left"]
    figures = figures_of(seen)
    assert (figures.out, figures.waits is not None and figures.waits >= 0) == (8, True)


def test_a_second_worker_fences_the_first(court: Court) -> None:
    make_items(court.project, 12)
    # So long its calls are waited for, whose worker has lost its job.
    Provider.objects.update(timeout_seconds=5)
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
