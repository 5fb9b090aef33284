"""Runs of a judge in the browser: estimated, tried, started, paused, and resumed."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from annotation.models import (
    Item,
    JudgeRun,
    JudgeVerdict,
    Price,
    ProjectJudge,
    Prompt,
    Provider,
)
from annotation.selectors.judge_pages import trial_items
from annotation.services.judge_run import queue_run
from core.models import Job
from tests.annotation.test_work_views import page, sign_in, url
from tests.cast import Cast, make_item
from tests.feedback.votes import judged
from tests.judges import make_judge


def test_a_run_is_estimated_capped_and_started(cast: Cast) -> None:
    for _ in range(3):
        make_item(cast.project)
    judge = make_judge(cast.project)
    Price.objects.create(
        model=judge.model, valid_from="2020-01-01", input_per_million=1, output_per_million=2
    )
    client = sign_in(cast.rosa)
    assert "3 items, 6 calls" in page(cast, "judge-run-form", judge.pk, user=cast.rosa)
    asked = {"purpose": "judge", "takes": "all", "limit": "2"}
    told = client.get(url(cast, "judge-run-estimate", judge.pk), asked).content.decode()
    assert "2 items, 4 calls" in told
    none = {"purpose": "judge", "takes": "disagreed"}
    told = client.get(url(cast, "judge-run-estimate", judge.pk), none).content.decode()
    assert "No item is left for this choice" in told
    assert "On all 3 items that it can judge people do not disagree." in told
    assert '?takes=all">All items</a> (3 left)' in told
    form = url(cast, "judge-run-form", judge.pk)
    refused = client.post(form, asked)
    assert refused.status_code == 422
    assert not JudgeRun.objects.exists()
    reply = client.post(form, {**asked, "cap": "1.5"})
    run = JudgeRun.objects.get()
    assert reply["Location"] == url(cast, "judge-run", run.pk)
    assert (run.cap, run.selection) == (Decimal("1.5"), {"takes": "all", "limit": 2})
    seen = page(cast, "judge-run", run.pk, user=cast.rosa)
    assert "cap $1.50" in seen
    assert "of 2 items" in seen


def test_the_form_opens_with_a_choice_that_has_items(cast: Cast) -> None:
    judged(cast.project, "pairwise", 2, 2)
    judge = make_judge(cast.project)
    seen = page(cast, "judge-run-form", judge.pk, user=cast.rosa)
    assert '<option value="all" selected>' in seen
    assert "1 item, 2 calls" in seen
    # What the project has chosen stands, and says why it has none.
    ProjectJudge.objects.create(project=cast.project, judge=judge, takes="unlabeled")
    seen = page(cast, "judge-run-form", judge.pk, user=cast.rosa)
    assert "People have judged the one item that it can judge." in seen
    assert "All items</a> (1 left)" in seen


def test_a_judge_of_a_retired_provider_is_refused_at_once(cast: Cast) -> None:
    make_item(cast.project)
    judge = make_judge(cast.project)
    Provider.objects.update(retired_at=timezone.now())
    assert "was retired" in page(cast, "judge-run-form", judge.pk, user=cast.rosa)
    client = sign_in(cast.rosa)
    asked = {"purpose": "judge", "takes": "all", "cap": "1"}
    refused = client.post(url(cast, "judge-run-form", judge.pk), asked)
    assert refused.status_code == 422
    assert 'role="alert"' in refused.content.decode()
    assert client.post(url(cast, "judge-try", judge.pk)).status_code == 400
    assert not JudgeRun.objects.exists()


def test_ten_items_that_people_have_judged_are_tried_first(cast: Cast) -> None:
    items = [make_item(cast.project) for _ in range(12)]
    known = judged(cast.project, "pairwise", 2, 2, -2)
    judge = make_judge(cast.project)
    client = sign_in(cast.rosa)
    withdrawn = items.pop(0)
    Prompt.objects.filter(pk=withdrawn.prompt_id).update(withdrawn_at=timezone.now())
    Price.objects.create(
        model=judge.model, valid_from="2020-01-01", input_per_million=1, output_per_million=2
    )
    # What it will cost is told before anything is asked.
    told = page(cast, "judge-try", judge.pk, user=cast.rosa)
    assert "10 items, 20 calls" in told
    assert "Try it for at most $" in told
    assert not JudgeRun.objects.exists()
    client.post(url(cast, "judge-try", judge.pk))
    run = JudgeRun.objects.get()
    assert run.purpose == "trial"
    assert len(run.selection["items"]) == 10
    assert known.pk in run.selection["items"]
    assert set(run.selection["items"]) <= {known.pk, *(item.pk for item in items)}
    raw = [{"shown_order": [0, 1], "sample": 0, "strength": 2},
           {"shown_order": [1, 0], "sample": 0, "strength": -2}]  # fmt: skip
    detail = {
        "criteria": {"overall": {"answer": {"strength": 0}, "raw": raw, "consistent": False}},
        "reason": "Both are fine.",
    }
    JudgeVerdict.objects.create(
        judge=judge, item=known, run=run, purpose="trial", outcome="judged", detail=detail
    )
    seen = page(cast, "judge-run", run.pk, user=cast.rosa)
    assert "A better (shown A, B)" in seen
    assert "B better (shown B, A)" in seen
    assert "orders disagree" in seen
    assert "2 × A better" in seen
    assert "Both are fine." in seen
    assert "Bob" not in seen.split("What it said")[1]


def test_ten_items_of_other_prompts_are_tried_first(cast: Cast) -> None:
    prompts = [make_item(cast.project).prompt_id for _ in range(4)]
    crowded = make_item(cast.project).prompt
    for _ in range(20):
        make_item(cast.project, prompt=crowded)
    tried = trial_items(cast.project, make_judge(cast.project), ["pairwise"])
    counts = Counter(Item.objects.filter(pk__in=tried).values_list("prompt_id", flat=True))
    assert counts == Counter(dict.fromkeys(prompts, 1) | {crowded.pk: 6})


def test_a_run_is_paused_stopped_and_resumed_under_another_cap(cast: Cast) -> None:
    make_item(cast.project)
    judge = make_judge(cast.project)
    client = sign_in(cast.rosa)
    run = queue_run(project=cast.project, judge=judge, created_by=cast.rosa, cap=Decimal(1))
    state = url(cast, "judge-run-state", run.pk)
    assert client.get(state).status_code == 200
    client.post(url(cast, "judge-run-pause", run.pk))
    assert "paused" in page(cast, "judge-run", run.pk, user=cast.rosa)
    assert client.get(state).status_code == 286
    client.post(url(cast, "judge-run-resume", run.pk), {"cap": "2"})
    run.refresh_from_db()
    assert (run.cap, run.paused_at) == (Decimal(2), None)
    assert client.post(url(cast, "judge-run-resume", run.pk), {"cap": "x"}).status_code == 400
    client.post(url(cast, "judge-run-stop", run.pk))
    assert "stopped" in page(cast, "judge-run", run.pk, user=cast.rosa)


def test_a_running_run_shows_what_its_worker_tells(cast: Cast) -> None:
    make_item(cast.project)
    judge = make_judge(cast.project)
    run = queue_run(project=cast.project, judge=judge, created_by=cast.rosa, cap=Decimal(1))
    told = {
        "done": 1, "total": 1, "items": {"judged": 1, "unparsable": 2}, "calls": {"done": 1234},
        "newest": ["limited: 429: slow down", "limited: 429: slow down"],
        "out": 16, "oldest_sent_at": time.time() - 40, "seconds_left": 240,
    }  # fmt: skip
    now = timezone.now()
    lease, begun = now + timedelta(minutes=1), now - timedelta(minutes=1)
    job = Job.objects.filter(pk=run.job_id)
    job.update(state="running", lease_until=lease, started_at=begun, progress=told)
    seen = sign_in(cast.rosa).get(url(cast, "judge-run-state", run.pk)).content.decode()
    assert "1,234" in seen
    assert "429: slow down" in seen
    assert "× 2" in seen
    assert "Tokens in" not in seen
    assert re.search("16 calls are out, the oldest for 4[0-9] s", seen)
    assert "4 min left" in seen
    job.update(started_at=now)  # by another worker, which has told nothing yet
    seen = sign_in(cast.rosa).get(url(cast, "judge-run-state", run.pk)).content.decode()
    assert "are out" not in seen


def test_a_run_is_pausing_until_its_calls_are_back(cast: Cast) -> None:
    make_item(cast.project)
    run = queue_run(
        project=cast.project, judge=make_judge(cast.project), created_by=cast.rosa, cap=Decimal(1)
    )
    lease = timezone.now() + timedelta(minutes=1)
    Job.objects.filter(pk=run.job_id).update(state="running", lease_until=lease)
    client, state = sign_in(cast.rosa), url(cast, "judge-run-state", run.pk)
    client.post(url(cast, "judge-run-pause", run.pk))
    assert "pausing</span>" in client.get(state).content.decode()
    JudgeRun.objects.update(paused_at=None)
    assert "stopping</span>" in client.get(state).content.decode()


def test_a_run_that_its_cap_has_stopped_is_resumed_under_one_that_helps(cast: Cast) -> None:
    make_item(cast.project)
    judge = make_judge(cast.project)
    Price.objects.create(
        model=judge.model, valid_from="2020-01-01", input_per_million=9, output_per_million=9
    )
    run = queue_run(project=cast.project, judge=judge, created_by=cast.rosa, cap=Decimal("0.001"))
    least = {"stopped_by": "cap", "least": "0.0123456789"}
    Job.objects.filter(pk=run.job_id).update(
        state="failed", finished_at=timezone.now(), result=least, error="The cap holds no more."
    )
    seen = page(cast, "judge-run", run.pk, user=cast.rosa)
    assert "stopped by its cap" in seen
    assert "badge-bad" not in seen
    assert "notice-bad" not in seen
    assert "$0.012346 is the least that helps" in seen
    cap = re.search(r'min="0.012346" step="any" value="([0-9.]+)"', seen)
    assert cap
    client, resume = sign_in(cast.rosa), url(cast, "judge-run-resume", run.pk)
    for small in ("0.001", "0.0123", "0.0005"):
        refused = client.post(resume, {"cap": small})
        assert refused.status_code == 400
        assert "one of $0.012346 at least" in refused.content.decode()
    assert client.post(resume, {"cap": cap[1]}).status_code == 302
    run = JudgeRun.objects.get()
    told = Decimal(run.estimate["cost"])
    assert (run.job.state, run.cap, run.stopped_by_cap) == ("queued", Decimal(cap[1]), False)
    assert told * Decimal("1.2") <= run.cap <= told * Decimal("1.2") + Decimal("0.01")
