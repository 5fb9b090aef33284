"""What fails one item, what pauses the whole run, and what is not asked at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import LazySettings

from annotation.llm import retry
from annotation.models import JudgeRun, ProviderState
from annotation.services.judge_run import resume_run
from tests.asked_judges import Court, assert_books_balance, make_items, work

pytestmark = pytest.mark.django_db(transaction=True)


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
