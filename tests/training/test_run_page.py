"""What a run's page says of its data and of its phases."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.test import Client
from django.utils import timezone

from core import jobs
from core.models import Job
from tests.cast import Cast
from tests.training.conftest import Launch
from tests.training.test_pages import page
from training.alignment.data_report import DataReport
from training.models import StepSample
from training.selectors.queue import ahead_of
from training.services.supervise import _show_progress, phase_in_words, run_folder


def test_a_runs_page_tells_what_of_its_data_was_cut(
    cast: Cast, client: Client, launch: Launch
) -> None:
    run, words = launch(), "Data beyond max length"
    client.force_login(cast.ada)
    assert words not in page(client, "run", run.project_id, run.pk)
    output = run_folder(run) / "output"
    output.mkdir(parents=True)
    whole = asdict(DataReport(rows=8, examples=8))
    cut = whole | {"prompts_truncated": 1, "completions_truncated": 2}
    for train, is_told in ((whole, False), (cut, True)):
        file = json.dumps({"train": train, "held_out": cut if is_told else whole})
        (output / "data_report.json").write_text(file)
        assert (words in page(client, "run", run.project_id, run.pk)) is is_told
    shown = page(client, "run", run.project_id, run.pk)
    assert f"{words} or max prompt length: prompts cut 2, completions cut 4." in shown


def test_a_run_that_waits_says_what_is_before_it(
    cast: Cast, client: Client, launch: Launch, django_assert_max_num_queries: Any
) -> None:
    client.force_login(cast.ada)
    soon = timezone.now() + timedelta(hours=1)
    first, second, run = (launch() for _ in range(3))

    def told() -> str:
        return page(client, "run-state", run.project_id, run.pk)

    Job.objects.filter(pk=second.job_id).update(run_after=soon)  # due later, so not before it
    Job.objects.create(kind="export", queue="default", project_id=7)
    assert "waits for a worker: 1 job is before it<" in told()
    jobs.claim(first.job_id)
    assert "waits for a worker: it is next; a worker now trains a model<" in told()
    other = Job.objects.create(kind="sample_responses", queue="gpu", project_id=7)
    jobs.claim(other.pk)
    words = "it is next; a worker now samples responses and another trains a model"
    assert ahead_of(run.job) == words
    with django_assert_max_num_queries(2):
        ahead_of(run.job)
    jobs.claim(run.job_id)
    run.job.refresh_from_db()
    assert ahead_of(run.job) == ""
    assert "waits for a worker" not in told()


def test_a_run_before_which_there_is_nothing_only_waits(
    cast: Cast, client: Client, launch: Launch
) -> None:
    run = launch()
    client.force_login(cast.ada)
    assert "waits for a worker<" in page(client, "run-state", run.project_id, run.pk)


@pytest.mark.parametrize(
    ("phase", "total", "words"),
    [
        ("reference", 246, "with the reference model: 8 of 246 different answers"),
        ("evaluating", 32, "before and after: 8 of 32 answers"),
        ("loading", 1, "Loading the model and the data"),
        ("a later one", 9, "a later one: 8 of 9"),
    ],
)
def test_what_is_counted_before_and_after_training_is_named(
    phase: str, total: int, words: str
) -> None:
    told = phase_in_words(phase=phase, done=8, total=total, time=0.0)
    assert told.endswith(words)


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ("training", (3, 8, "Training", 5.0)),
        ("held_out", (3, 8, "Evaluating on held-out prompts", 5.0)),
        ("saving", (0, 0, "Saving the model: 3 of 8", None)),
    ],
)
def test_the_bar_counts_steps_also_while_the_held_out_side_is_tried(
    tmp_path: Path, phase: str, told: tuple[int, int, str, float | None]
) -> None:
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({"phase": phase, "done": 3, "total": 8, "time": 0.0}))
    context, pace = Mock(), Mock(seconds_left=Mock(return_value=5.0))
    _show_progress(context, path, pace)
    given = context.progress.call_args.kwargs
    assert (given["done"], given["total"], given["message"], given.get("seconds_left")) == told


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"ended": 1.0, "tokens": 15}, "15 tokens, ended by itself"),
        ({"ended": 0.0, "tokens": 16}, "cut at 16 tokens"),
        ({"reward": 0.5, "reward_model": 0.5, "tokens": 9}, "9 tokens, reward 0.5"),
        (
            {"kl": -0.25, "ended": 1.0, "reward": 2.0, "tokens": 1, "reward_length": 1.5},
            "1 token, ended by itself, KL −0.25, reward 2, reward length 1.5",
        ),
    ],
)
def test_how_an_answer_through_training_ended_is_in_words(
    cast: Cast, client: Client, launch: Launch, figures: dict[str, float], words: str
) -> None:
    run = launch()
    asked = [{"role": "user", "content": "Why?"}]
    StepSample.objects.create(
        run=run, step=2, position=0, prompt_messages=asked, text="So.", figures=figures
    )
    client.force_login(cast.ada)
    assert f">{words}</p>" in page(client, "run", run.project_id, run.pk)
