"""Judges are measured when there is something new to measure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Item, Judge, Kind
from core import jobs
from core.models import Job
from feedback.models import JudgeReport, Resolution
from feedback.selectors.judge_news import News
from feedback.selectors.judges import judge_row
from feedback.services.measure_judges import measure_judges
from feedback.services.policy import PolicyValues, current_policy, revise_policy
from feedback.services.resolve_items import resolve_items
from feedback.tasks import look_for_news
from tests.cast import Cast
from tests.feedback.judging import ended_job, make_run, say
from tests.feedback.votes import judge_annotator, judged, vote, worker
from tests.judges import make_judge


@pytest.fixture
def judge(cast: Cast) -> Judge:
    return make_judge(cast.project)


def test_measured_after_a_run_and_when_people_judged_on(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 1, 1)
    run = make_run(judge, "repeat", job=ended_job(finished_at=timezone.now()))
    say(judge, item, 1, run=run)
    for _ in range(2):
        look_for_news()
    (job,) = Job.objects.filter(kind="measure_judges")
    assert job.project_id == cast.project.pk
    jobs.run(job.pk)
    assert not judge_row(cast.project, judge).is_behind
    look_for_news()
    assert Job.objects.filter(kind="measure_judges").count() == 1
    vote(item, "c", 1)
    resolve_items(project=cast.project)
    assert judge_row(cast.project, judge).news is News.PEOPLE
    look_for_news()
    assert Job.objects.filter(kind="measure_judges").count() == 1
    JudgeReport.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    look_for_news()
    assert Job.objects.filter(kind="measure_judges").count() == 2


def test_measured_again_when_a_run_that_was_resumed_ends(cast: Cast, judge: Judge) -> None:
    item = judged(cast.project, Kind.PAIRWISE, 1, 1)
    first = make_run(judge, "repeat", job=ended_job(finished_at=timezone.now()))
    say(judge, item, 1, run=first)
    newest = make_run(judge, "repeat", job=ended_job(finished_at=timezone.now()))
    say(judge, judged(cast.project, Kind.PAIRWISE, 1, 1), 1, run=newest)
    look_for_news()
    jobs.run(Job.objects.get(kind="measure_judges").pk)
    # A newer run of a judge that has no card keeps asking for one.
    make_run(make_judge(cast.project, name="Silent"), job=ended_job(finished_at=timezone.now()))
    look_for_news()
    jobs.run(Job.objects.filter(kind="measure_judges").latest("pk").pk)
    for _ in range(2):
        look_for_news()
    assert Job.objects.filter(kind="measure_judges").count() == 2
    Job.objects.filter(pk=first.job_id).update(finished_at=timezone.now())
    for _ in range(2):
        look_for_news()
    assert Job.objects.filter(kind="measure_judges").count() == 3


@pytest.fixture
def measured(cast: Cast, judge: Judge) -> Item:
    """An item that three people and the judge have answered, after the run that judged it."""
    item = judged(cast.project, Kind.PAIRWISE, 2, 2, -2)
    run = make_run(judge, job=ended_job(finished_at=timezone.now()))
    say(judge, item, 2, run=run)
    resolve_items(project=cast.project)
    measure_judges(project=cast.project)
    return item


def news(cast: Cast, judge: Judge) -> News | None:
    resolve_items(project=cast.project)
    return judge_row(cast.project, judge).news


def change_policy(cast: Cast, **changes: Any) -> None:
    policy = current_policy(cast.project)
    values = PolicyValues(**{**vars(PolicyValues.of(policy)), **changes})
    revise_policy(project=cast.project, actor=cast.mary, values=values, from_version=policy.version)


def test_what_is_nothing_to_a_card_does_not_make_it_old(
    cast: Cast, judge: Judge, measured: Item
) -> None:
    """Another judge's answers, people's on other items, and a rule that decides as before."""
    assert news(cast, judge) is None
    vote(measured, judge_annotator(), -2)
    judged(cast.project, Kind.PAIRWISE, 2, 2)
    assert news(cast, judge) is None
    change_policy(cast, min_agreement=0.6)
    assert news(cast, judge) is None
    assert Resolution.objects.get().judged_at > JudgeReport.objects.latest("pk").created_at


def test_a_card_says_what_made_it_old(cast: Cast, judge: Judge, measured: Item) -> None:
    change_policy(cast, min_agreement=0.9)
    assert news(cast, judge) is News.DECISIONS
    change_policy(cast, weights={str(worker("c").pk): 0})
    assert news(cast, judge) is News.LEFT_OUT
    vote(measured, "d", 2)
    assert news(cast, judge) is News.PEOPLE
    say(judge, judged(cast.project, Kind.PAIRWISE, 2, 2), 2, run=judge.runs.get())
    assert news(cast, judge) is News.OWN
    make_run(judge, job=ended_job(finished_at=timezone.now()))
    assert news(cast, judge) is News.RUN
    measure_judges(project=cast.project)
    assert news(cast, judge) is None


def test_an_imported_judge_is_never_asked(cast: Cast, judge: Judge, measured: Item) -> None:
    vote(measured, judge_annotator(), 2)
    resolve_items(project=cast.project)
    measure_judges(project=cast.project)
    say(judge, judged(cast.project, Kind.PAIRWISE, 2, 2), 2)
    imported = judge_annotator().judge
    assert imported is not None
    assert news(cast, imported) is None


def test_those_that_were_not_measured_with_the_others_are_measured(
    cast: Cast, judge: Judge, measured: Item
) -> None:
    """As the command measures one judge alone."""
    now = timezone.now()
    vote(measured, judge_annotator(), 2)
    resolve_items(project=cast.project)
    measure_judges(project=cast.project)
    Resolution.objects.update(judged_at=now - timedelta(minutes=30))
    JudgeReport.objects.filter(judge=judge).update(created_at=now - timedelta(minutes=40))
    JudgeReport.objects.exclude(judge=judge).update(created_at=now - timedelta(minutes=20))
    for _ in range(2):
        look_for_news()
    keys = Job.objects.filter(kind="measure_judges").values_list("idempotency_key", flat=True)
    assert len([key for key in keys if "run of" not in key]) == 1
