from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from annotation.models import Judge, JudgeRun, Price
from annotation.services.judge_budget import bound_by_runs
from annotation.services.judge_run import queue_run, raise_cap, resume_run
from annotation.services.project import update_project
from core.errors import NotAllowed, PrefloopError
from core.models import Job, User
from tests.cast import Cast, make_item
from tests.judges import make_judge


@pytest.fixture
def judge(cast: Cast) -> Judge:
    make_item(cast.project)
    judge = make_judge(cast.project)
    Price.objects.create(
        model=judge.model, valid_from="2026-01-01", input_per_million=1, output_per_million=1
    )
    return judge


def start(cast: Cast, judge: Judge, cap: str, by: User | None = None) -> JudgeRun:
    return queue_run(
        project=cast.project, judge=judge, created_by=by or cast.rosa, cap=Decimal(cap)
    )


def end(run: JudgeRun, spent: str) -> None:
    Job.objects.filter(pk=run.job_id).update(state="cancelled", finished_at=timezone.now())
    JudgeRun.objects.filter(pk=run.pk).update(settled=Decimal(spent))
    run.refresh_from_db()


def test_runs_share_the_budget(cast: Cast, judge: Judge) -> None:
    update_project(project=cast.project, actor=cast.mary, judge_budget=Decimal(5))
    first = start(cast, judge, "3")
    with pytest.raises(PrefloopError, match=r"leave \$2.00"):
        start(cast, judge, "2.01")
    with pytest.raises(PrefloopError, match="may spend"):
        raise_cap(run=first, cap=Decimal("5.01"), actor=cast.mary)
    end(first, "1")
    assert bound_by_runs(cast.project) == 1
    start(cast, judge, "4")
    # Its cap is free no more; with what it has spent itself it may stand as it is.
    with pytest.raises(PrefloopError, match=r"leave \$1.00"):
        resume_run(run=first, actor=cast.rosa)
    assert resume_run(run=first, actor=cast.rosa, cap=Decimal(1)).cap == 1


def test_without_a_budget_researchers_start_small_runs(cast: Cast, judge: Judge) -> None:
    start(cast, judge, "10")
    with pytest.raises(NotAllowed, match=r"at most \$10"):
        start(cast, judge, "10.01")
    large = start(cast, judge, "500", cast.mary)
    with pytest.raises(NotAllowed, match=r"at most \$10"):
        raise_cap(run=large, cap=Decimal(501), actor=cast.rosa)
    assert raise_cap(run=large, cap=Decimal(501), actor=cast.mary).cap == 501


def test_the_caps_of_rewards_count(cast: Cast, judge: Judge) -> None:
    JudgeRun.objects.create(project=cast.project, judge=judge, purpose="reward", cap=4)
    update_project(project=cast.project, actor=cast.mary, judge_budget=Decimal(5))
    with pytest.raises(PrefloopError, match=r"leave \$1.00"):
        start(cast, judge, "2")
