"""Runs that start by themselves: where a project asked for it, in its budget, one at a time."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from annotation.models import Judge, JudgeRun, JudgeVerdict, Price, ProjectJudge
from annotation.services.judge_run import queue_run, stop_run
from annotation.services.judge_template import set_project_judge
from annotation.services.project import update_project
from annotation.services.start_judges import LOOK_EVERY, start_due_judges
from annotation.tasks import start_judges
from core.errors import PrefloopError
from core.models import Job
from tests.annotation.test_work_views import page, sign_in, url
from tests.api import Api
from tests.cast import Cast, make_item
from tests.judges import make_judge


@pytest.fixture
def judge(cast: Cast) -> Judge:
    update_project(project=cast.project, actor=cast.mary, judge_budget=Decimal(5))
    judge = make_judge(cast.project)
    Price.objects.create(
        model=judge.model, valid_from="2026-01-01", input_per_million=1, output_per_million=1
    )
    choose(cast, judge)
    return judge


def choose(cast: Cast, judge: Judge, takes: str = "all", *, by_itself: bool = True) -> None:
    set_project_judge(
        project=cast.project, judge=judge, takes=takes, actor=cast.rosa, by_itself=by_itself
    )


def later() -> list[JudgeRun]:
    """The next look."""
    ProjectJudge.objects.update(looked_at=timezone.now() - LOOK_EVERY)
    return start_due_judges()


def finish(run: JudgeRun, state: str = "succeeded") -> None:
    """As if its worker had judged each item."""
    judged = set(JudgeVerdict.objects.values_list("item", flat=True))
    for item in run.project.items.exclude(pk__in=judged):
        JudgeVerdict.objects.create(
            judge=run.judge, item=item, run=run, purpose="judge", outcome="judged"
        )
    Job.objects.filter(pk=run.job_id).update(state=state, finished_at=timezone.now())


def test_new_items_start_a_run_and_nothing_else_does(cast: Cast, judge: Judge) -> None:
    assert start_due_judges() == []
    make_item(cast.project)
    # Not before it is time to look again.
    assert start_due_judges() == []
    (run,) = later()
    assert (run.purpose, run.selection, run.created_by) == ("judge", {"takes": "all"}, None)
    assert run.estimate["items"] == 1
    assert 0 < run.cap - Decimal(run.estimate["cost"]) < Decimal("0.02")
    assert Job.objects.get(pk=run.job_id).state == "queued"
    make_item(cast.project)
    assert later() == []
    finish(run)
    assert later() == []
    make_item(cast.project)
    start_judges()
    assert JudgeRun.objects.count() == 1
    ProjectJudge.objects.update(looked_at=timezone.now() - LOOK_EVERY - timedelta(seconds=1))
    start_judges()
    assert JudgeRun.objects.count() == 2


def test_what_stopped_waits_for_somebody(cast: Cast, judge: Judge) -> None:
    make_item(cast.project)
    (run,) = later()
    stop_run(run=run, actor=cast.rosa)
    assert later() == []
    by_rosa = queue_run(project=cast.project, judge=judge, created_by=cast.rosa, cap=Decimal(1))
    assert later() == []
    finish(by_rosa)
    make_item(cast.project)
    assert len(later()) == 1


def test_the_cap_is_what_the_budget_has_left(cast: Cast, judge: Judge) -> None:
    make_item(cast.project)
    Price.objects.update(output_per_million=1000)
    update_project(project=cast.project, actor=cast.mary, judge_budget=Decimal("0.05"))
    (run,) = later()
    assert Decimal(run.estimate["cost"]) > run.cap == Decimal("0.05")
    finish(run)
    JudgeRun.objects.update(settled=Decimal("0.05"))
    make_item(cast.project)
    assert later() == []


@pytest.mark.parametrize("why", ["choice", "none", "budget", "archived", "retired"])
def test_only_where_the_project_asked_for_it_and_can_pay(
    cast: Cast, judge: Judge, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_item(cast.project)
    if why == "choice":
        choose(cast, judge, by_itself=False)
    elif why == "none":
        choose(cast, judge, "none")
    elif why == "budget":
        type(cast.project).objects.update(judge_budget=None)
    elif why == "archived":
        type(cast.project).objects.update(archived_at=timezone.now())
    else:
        assert judge.model is not None
        judge.model.provider.retired_at = timezone.now()
        judge.model.provider.save()
    assert later() == []
    assert ("was retired" in caplog.text) == (why == "retired")
    assert not JudgeRun.objects.exists()


def test_it_is_chosen_on_the_judges_page_and_by_api(cast: Cast, judge: Judge) -> None:
    client, path = sign_in(cast.rosa), url(cast, "judge-takes", judge.pk)
    client.post(path, {"takes": "all"})
    assert not ProjectJudge.objects.get().by_itself
    client.post(path, {"takes": "all", "by_itself": "on"})
    assert ProjectJudge.objects.get().by_itself
    assert re.search(
        r'name="by_itself"[^>]* checked', page(cast, "judge", judge.pk, user=cast.rosa)
    )
    api, one = Api(cast.rosa), f"judges/{judge.pk}/takes"
    assert api.put(one, {"takes": "all"}).json()["by_itself"] is False
    assert api.put(one, {"takes": "all", "by_itself": True}).json()["by_itself"] is True
    update_project(project=cast.project, actor=cast.mary, judge_budget=None)
    assert list(api.put(one, {"takes": "all", "by_itself": True}).json()["fields"]) == ["by_itself"]


def test_without_a_budget_it_cannot_be_asked_for(cast: Cast) -> None:
    judge = make_judge(cast.project)
    with pytest.raises(PrefloopError, match="needs a budget"):
        choose(cast, judge)
    choose(cast, judge, by_itself=False)
    assert not ProjectJudge.objects.get().by_itself
