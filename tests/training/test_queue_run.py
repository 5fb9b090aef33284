"""Launching a run: what is checked before anything costs time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation.models import Kind
from core.errors import Conflict, PrefloopError
from core.models import AuditEvent, Job
from feedback.models import Snapshot
from tests.cast import Cast, make_project
from tests.feedback.votes import judged
from tests.training.conftest import Launch
from training.alignment.data import read_rows
from training.models import TrainingRun
from training.selectors.budget import run_budget
from training.selectors.training_data import rows_of_kind
from training.services import cancel_run, resume_run
from training.services.client_key import KeyUsed
from training.services.run import checked_config
from training.services.supervise import _write_data as write_data


def test_a_run_is_queued_with_every_setting(launch: Launch, cast: Cast) -> None:
    run = launch(name=" first ")
    assert (run.name, run.method, run.criterion) == ("first", "dpo", "overall")
    assert run.config["max_steps"] == 6
    assert run.config["weight_decay"] == 0.0
    assert run.config["hyperparameters"]["beta"] == 0.1
    assert not {"base_model", "output_dir", "train_file"} & set(run.config)
    assert (run.job.queue, run.job.state, run.job.project_id) == ("gpu", "queued", cast.project.pk)
    assert AuditEvent.objects.filter(action="queue_run", actor=cast.ada).count() == 1


def test_the_device_left_out_is_one_that_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TRAINING_DEVICES", ["cpu"])
    assert checked_config(method="dpo", config={})["device"] == "cpu"
    with pytest.raises(PrefloopError, match="trains on cpu, not on cuda"):
        checked_config(method="dpo", config={"device": "cuda"})


def test_a_double_click_launches_and_estimates_once(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimated: list[str] = []

    def counted(**asked: Any) -> Any:
        estimated.append(asked["method"])
        return run_budget(**asked)

    monkeypatch.setattr("training.services.run.run_budget", counted)
    assert launch(client_key="same").pk == launch(client_key="same").pk
    assert estimated == ["dpo"]
    assert launch(client_key="other").pk != launch(client_key="same").pk
    assert TrainingRun.objects.count() == 2
    assert len(estimated) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"max_steps": 5}},
        {"config": {"hyperparameters": {"beta": 0.2}}},
        {"method": "ipo"},
        {"name": "second"},
        {"rewrites": True},
    ],
)
def test_a_key_stands_for_the_settings_it_came_with(
    launch: Launch, changes: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"client_key": "same", "name": "first"}
    run = launch(**asked)
    with pytest.raises(KeyUsed, match=f"Run {run.pk} was started under this client_key") as refused:
        launch(**asked | changes)
    assert (refused.value.status, refused.value.number) == (409, run.pk)
    assert TrainingRun.objects.get() == launch(**asked | {"name": " first "})


def test_thumbs_feed_kto(launch: Launch) -> None:
    assert launch("kto").data_options["binary_from_pairs"] is False


def test_what_was_preferred_feeds_sft_only_when_asked(launch: Launch, tmp_path: Path) -> None:
    with pytest.raises(PrefloopError, match="needs demonstrations data"):
        launch("sft")
    run = launch("sft", config={"convert_data": True})
    write_data(run, tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "train.jsonl", "demonstrations")
    assert len(rows) == rows_of_kind(run.snapshot, "demonstrations", convert=True)["overall"].train


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {"learning_rte": 1.0}}, "learning_rte: unknown option"),
        ({"config": {"learning_rate": "fast"}}, "learning_rate: 'fast' is not a number"),
        ({"config": {"batch_size": 0}}, "batch_size: 0 is below"),
        ({"config": {"hyperparameters": {"gamma": 1}}}, "gamma: unknown option"),
        ({"config": {"message": 1}}, "message: unknown option"),
        ({"config": {"self": 1}}, "self: unknown option"),
        (
            {"method": "reward_bradley_terry", "config": {"score_zero": "demonstrations"}},
            "score_zero “demonstrations” also needs demonstrations",
        ),
        ({"config": {"output_dir": "/etc"}}, "output_dir cannot be set"),
        ({"config": {"base_model": "/etc"}}, "base_model cannot be set"),
        ({"config": {"device": "tpu"}}, "device: 'tpu' is not one of"),
        ({"method": "ppp"}, "'ppp' is not a training method"),
        ({"criterion": "honesty"}, "has none for the criterion “honesty”"),
        ({"base_model": "../secrets"}, "is not offered here"),
        ({"base_model": "version:7"}, "is not offered here"),
        (
            {"method": "ppo", "config": {"hyperparameters": {"mini_batches": 3}}},
            "prompts_per_step: 8 cannot be dealt evenly to 3 mini-batches",
        ),
        ({"method": "ppo", "config": {"max_new_tokens": 81}}, "max_new_tokens: 81 more than"),
        ({"method": "grpo", "config": {"samples_per_prompt": 1}}, "compares 2 or more answers"),
    ],
)
def test_what_cannot_run_is_refused(launch: Launch, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PrefloopError, match=said):
        launch(**changes)
    assert not Job.objects.filter(kind="train").exists()


def test_a_length_that_the_model_has_no_positions_for_is_refused(
    launch: Launch, short_model: str
) -> None:
    with pytest.raises(PrefloopError, match="short has only 256 positions; set it to") as refused:
        launch(base_model=short_model, config={"max_length": 257})
    assert "max_length" in refused.value.fields
    run = launch(base_model=short_model, config={"max_length": 256})
    assert run.config["max_length"] == 256


@pytest.mark.parametrize(
    ("positions", "lengths"), [(256, (256, 128)), (1000, (1000, 500)), (None, (1024, 512))]
)
def test_lengths_that_nobody_names_fit_the_model(
    positions: int | None, lengths: tuple[int, int]
) -> None:
    checked = checked_config(method="dpo", config={}, positions=positions)
    assert (checked["max_length"], checked["max_prompt_length"]) == lengths


def test_a_snapshot_of_another_project_is_refused(launch: Launch) -> None:
    with pytest.raises(PrefloopError, match="another project"):
        launch(project=make_project(name="Other"))


def test_a_snapshot_without_the_data_is_refused(launch: Launch, cast: Cast) -> None:
    from feedback.services import freeze_snapshot

    other = make_project(name="Only thumbs")
    for side in ("train", "held_out"):
        judged(other, Kind.THUMBS, 1, 1, side=side)
    snapshot = freeze_snapshot(project=other, created_by=cast.rosa)
    with pytest.raises(PrefloopError, match="needs pairs data"):
        launch(project=other, snapshot=snapshot)


def test_a_snapshot_with_an_empty_side_is_refused(launch: Launch, cast: Cast) -> None:
    from feedback.services import freeze_snapshot

    other = make_project(name="Lopsided")
    judged(other, Kind.PAIRWISE, 1, 1, side="train")
    judged(other, Kind.THUMBS, 1, 1, side="held_out")
    snapshot = freeze_snapshot(project=other, created_by=cast.rosa)
    with pytest.raises(PrefloopError, match="held-out side"):
        launch(project=other, snapshot=snapshot)


def test_a_withdrawn_snapshot_is_refused(launch: Launch, snapshot: Snapshot) -> None:
    newer = Snapshot.objects.create(
        project=snapshot.project, version=9, content_hash="b" * 64, manifest=snapshot.manifest
    )
    Snapshot.objects.filter(pk=snapshot.pk).update(replaced_by=newer)
    snapshot.refresh_from_db()
    with pytest.raises(PrefloopError, match="withdrawn"):
        launch()


def test_a_queued_run_is_cancelled_and_resumed(launch: Launch, cast: Cast) -> None:
    run = launch()
    assert cancel_run(run=run, actor=cast.ada).state == Job.State.CANCELLED
    assert resume_run(run=run, actor=cast.ada).state == Job.State.QUEUED
    with pytest.raises(Conflict):
        resume_run(run=run, actor=cast.ada)
