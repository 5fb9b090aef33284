"""Judges are measured when there is something new to measure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Judge, Kind
from core import jobs
from core.models import Job
from feedback.models import JudgeReport
from feedback.selectors.judges import judge_row
from feedback.services.resolve_items import resolve_items
from feedback.tasks import look_for_news
from tests.cast import Cast
from tests.feedback.judging import ended_job, make_run, say
from tests.feedback.votes import judged, vote
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
    assert judge_row(cast.project, judge).is_behind
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
