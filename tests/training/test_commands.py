"""The commands train, promote and sample: the whole loop from a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from annotation.models import Item
from core.errors import PrefloopError
from core.jobs import REGISTRY, JobContext
from core.models import Job
from feedback.models import Snapshot
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY
from training.management.commands import promote, resume, sample, train
from training.models import ModelVersion, TrainingRun
from training.selectors.promotion import promoted_version

SETTINGS = [f"--set={name}={value}" for name, value in (QUICK | {"max_steps": 2}).items()]


def call(command: str, *words: str) -> str:
    out = io.StringIO()
    call_command(command, *words, stdout=out)
    return out.getvalue()


def train_words(snapshot: Snapshot, *more: str) -> list[str]:
    project = str(snapshot.project_id)
    return ["--project", project, "--method", "dpo", "--model", TINY, *SETTINGS, *more]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tiny_model_folder")
def test_the_loop_from_a_terminal(snapshot: Snapshot, cast: Cast) -> None:
    project = str(cast.project.pk)
    assert "Version 1" in call("train", *train_words(snapshot, "--inline", "--as", "ada"))
    run = TrainingRun.objects.get()
    assert (run.config["max_steps"], run.created_by) == (2, cast.ada)
    version = ModelVersion.objects.get(run=run)
    call("promote", "--project", project, "--number", "1", "--as", "ada", "--note", "first")
    assert promoted_version(cast.project) == version
    said = call("sample", "--project", project, "--limit", "2", "--max-new-tokens", "8",
                "--inline")  # fmt: skip
    assert "2 answers by version 1, 2 new items" in said
    assert Item.objects.filter(batch="round 1").count() == 2
    with pytest.raises(CommandError, match="nothing to go back to"):
        call("promote", "--project", project, "--roll-back")


@pytest.mark.usefixtures("tiny_model_folder")
def test_a_run_may_be_queued_without_waiting(snapshot: Snapshot) -> None:
    said = call("train", *train_words(snapshot, "--no-wait", "--set", "beta=0.3"))
    run = TrainingRun.objects.get()
    assert f"Run {run.pk}" in said
    assert run.job.state == Job.State.QUEUED
    assert run.config["hyperparameters"]["beta"] == 0.3


@pytest.mark.usefixtures("tiny_model_folder")
def test_a_sweep_from_a_terminal(snapshot: Snapshot) -> None:
    words = ["--no-wait", "--vary", "beta=0.1,0.3", "--vary", "seed=1,2"]
    assert "4 runs are queued" in call("train", *train_words(snapshot, *words))
    found = TrainingRun.objects.order_by("pk").values_list("config__hyperparameters__beta", "seed")
    assert list(found) == [(0.1, 1), (0.1, 2), (0.3, 1), (0.3, 2)]
    with pytest.raises(CommandError, match="each name once"):
        call("train", *train_words(snapshot, "--vary", "beta"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tiny_model_folder")
def test_a_sweep_goes_on_after_a_run_that_fails(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def child(context: JobContext) -> dict[str, int]:
        """As if trained: the first of the two rates is too large."""
        if context.job.training_run.config["learning_rate"] == 1.0:
            raise PrefloopError("The gradient is not finite.")
        return {"version": 1}

    monkeypatch.setitem(REGISTRY, "train", replace(REGISTRY["train"], handler=child))
    out, err = io.StringIO(), io.StringIO()
    words = train_words(snapshot, "--vary", "learning_rate=1.0,1e-5", "--inline")
    with pytest.raises(CommandError, match="1 of 2 runs have not succeeded"):
        call_command("train", *words, stdout=out, stderr=err)
    assert "learning_rate 1.0: The gradient is not finite." in err.getvalue()
    table = out.getvalue().splitlines()[-2:]
    assert sorted(line.split()[:2] for line in table) == [
        ["learning_rate", "1.0"], ["learning_rate", "1e-05"],
    ]  # fmt: skip
    states = TrainingRun.objects.order_by("pk").values_list("job__state", flat=True)
    assert list(states) == [Job.State.FAILED, Job.State.SUCCEEDED]


@pytest.mark.usefixtures("tiny_model_folder")
def test_an_estimate_trains_nothing(snapshot: Snapshot) -> None:
    said = call("train", *train_words(snapshot, "--estimate"))
    for words in ("of memory and", "Optimiser", "a rule of thumb"):
        assert words in said
    assert not TrainingRun.objects.exists()


@pytest.mark.usefixtures("tiny_model_folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "beta"], "NAME=VALUE"),
        (["--set", "gamma=1"], "gamma: unknown option"),
        (["--snapshot", "9"], "no such snapshot"),
        (["--as", "nobody"], "no user"),
        (["--criterion", "honesty"], "has none for the criterion"),
    ],
)
def test_what_is_wrong_is_said(snapshot: Snapshot, words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call("train", *train_words(snapshot, *words))


def test_without_a_promoted_version_nothing_is_sampled(cast: Cast) -> None:
    with pytest.raises(CommandError, match="no promoted version"):
        call("sample", "--project", str(cast.project.pk))
    with pytest.raises(CommandError, match="no model version 3"):
        call("promote", "--project", str(cast.project.pk), "--number", "3")
    with pytest.raises(CommandError, match="nothing to undo"):
        call("promote", "--project", "Helpful answers", "--roll-back")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (train, ["How strongly the policy is held", "--binary-from-pairs", "examples"]),
        (sample, ["promoted version", "--limit"]),
        (promote, ["--roll-back", "--note"]),
        (resume, ["last checkpoint", "--kl-budget"]),
    ],
)
def test_help_is_worth_reading(module: Any, words: list[str]) -> None:
    command: BaseCommand = module.Command()
    shown = command.create_parser("manage.py", module.__name__.rpartition(".")[2]).format_help()
    assert all(word in shown for word in words)
    assert all(len(line) <= 110 for line in shown.splitlines())
