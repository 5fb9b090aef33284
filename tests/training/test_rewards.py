"""Reward models: versions that score, chosen by name wherever a run is rewarded or judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Side
from core.errors import PrefloopError
from feedback.models import Snapshot
from feedback.services import freeze_snapshot
from tests.cast import Cast
from tests.feedback.test_training_files import rewrite
from tests.training.conftest import TINY, Launch
from tests.training.test_pages import form_data
from tests.training.test_promotion import make_version
from training.alignment.data import read_rows
from training.alignment.methods import get_method
from training.forms.again import launch_query, left_out
from training.models import ModelVersion, TrainingRun
from training.selectors.budget import data_size, run_budget
from training.selectors.model import available_models, reward_models
from training.selectors.run import run_settings
from training.selectors.training_data import rows_of_kind
from training.services import promote_version
from training.services.rewards import with_folders
from training.services.supervise import _write_config, _write_data

SOURCE = {"reward": {"kind": "reward_model", "folders": ["version:2"]}}

pytestmark = pytest.mark.usefixtures("snapshot", "tiny_model_folder")


@pytest.fixture
def scorer(cast: Cast) -> ModelVersion:
    """Version 2 of the project is a reward model, version 1 is not."""
    make_version(cast, 1)
    version = make_version(cast, 2)
    version.lineage = {"method": "reward_bradley_terry"}
    version.save(update_fields=["lineage"])
    return version


def test_they_are_offered_apart(scorer: ModelVersion, cast: Cast) -> None:
    assert [one.name for one in reward_models(cast.project)] == ["version:2"]
    offered = {one.name for one in available_models(cast.project)}
    assert "version:1" in offered
    assert "version:2" not in offered


def test_a_run_names_it_and_the_worker_finds_its_folder(
    scorer: ModelVersion, launch: Launch, cast: Cast
) -> None:
    run = launch("ppo", config={"reward_sources": SOURCE}, evaluated_by="version:2")
    assert run.config["reward_sources"] == SOURCE
    whole = with_folders(
        project=cast.project, method=get_method("ppo"), base=Path(), config=run.config,
        evaluated_by="version:2",
    )  # fmt: skip
    folder = str(reward_models(cast.project)[0].folder)
    assert whole["reward_sources"]["reward"]["folders"] == [folder]
    assert whole["value_model"] == whole["evaluation_reward_model"] == folder


@pytest.mark.parametrize("has_more", [False, True])
def test_the_value_model_reads_the_policys_tokens(
    scorer: ModelVersion, cast: Cast, tmp_path: Path, has_more: bool
) -> None:
    folder = reward_models(cast.project)[0].folder
    folder.mkdir(parents=True)
    own = {"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1, "content": "</s>"}]}
    more = {**own, "model": {"vocab": {"a": 0, "b": 2}}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(own))
    (folder / "tokenizer.json").write_text(json.dumps(more if has_more else own))
    try:
        whole = with_folders(
            project=cast.project, method=get_method("ppo"), base=tmp_path,
            config={"reward_sources": SOURCE},
        )  # fmt: skip
        assert whole["value_model"] == (None if has_more else str(folder))
    finally:
        shutil.rmtree(folder)


def test_a_verifier_is_chosen_among_those_that_exist(launch: Launch) -> None:
    source = {"check": {"kind": "verifier", "verifier": "exact_answer"}}
    assert launch("grpo", config={"reward_sources": source}).config["reward_sources"] == source


def test_launching_again_keeps_the_rewards_that_the_form_holds_and_names_the_others(
    scorer: ModelVersion, launch: Launch, client: Client, cast: Cast
) -> None:
    helpful = {"kind": "reward_model", "folders": ["version:2", "version:2"], "combine": "min"}
    sources = {
        "tidy": {"kind": "format", "pattern": ".+"},
        "right": {"kind": "verifier", "verifier": "exact_answer"},
        "helpful": {**helpful, "weight": 2.0},
        "short": {"kind": "length", "free": 8, "limit": 64},
    }
    run = launch("grpo", config={"reward_sources": sources, "watch_sources": SOURCE})
    given = dict(parse_qsl(launch_query(run)))
    assert (given["reward_model"], given["watched_model"]) == ("version:2", "version:2")
    assert (given["length_penalty"], given["length_limit"]) == ("1.0", "64")
    lost = {
        "“tidy” (format)", "“right” (verifier)", "free of “short”",
        "weight of “helpful”", "further models of “helpful”", "combine of “helpful”",
    }  # fmt: skip
    assert set(left_out(run)) == lost
    client.force_login(cast.ada)
    shown = client.get(reverse("training:run", args=[run.project_id, run.pk])).text
    assert all(words in shown for words in lost)
    told = dict(run_settings(run))["reward sources"]
    assert "right: verifier, verifier exact_answer" in told
    assert "helpful: reward model, combine min, folders version:2 and version:2, weight 2.0" in told
    assert left_out(launch("grpo", config={"reward_sources": SOURCE})) == []


def test_ppo_ptx_reads_what_was_preferred(
    scorer: ModelVersion, launch: Launch, tmp_path: Path
) -> None:
    run = launch("ppo_ptx", config={"reward_sources": SOURCE})
    _write_data(run, tmp_path / "data")
    file = Path(_write_config(run, tmp_path, tmp_path).ptx_file or "")
    assert file.is_relative_to(tmp_path / "data")
    counted = rows_of_kind(run.snapshot, "demonstrations", convert=True)["overall"].train
    assert len(read_rows(file, "demonstrations")) == counted > 0


def test_a_zero_set_by_demonstrations_reads_what_was_rewritten(
    launch: Launch, cast: Cast, tmp_path: Path
) -> None:
    for side in (Side.TRAIN, Side.HELD_OUT):
        rewrite(cast.project, side)
    config = {"score_zero": "demonstrations"}
    snapshot = freeze_snapshot(project=cast.project, created_by=cast.rosa)
    run = launch("reward_bradley_terry", config=config, snapshot=snapshot)
    _write_data(run, tmp_path / "data")
    file = Path(_write_config(run, tmp_path, tmp_path).demonstrations_file or "")
    rows = read_rows(file, "demonstrations")
    assert rows
    assert all("Better" in str(row.completions["completion"]) for row in rows)


def test_a_policy_is_measured_on_held_out_demonstrations_if_there_are_any(
    launch: Launch, cast: Cast, tmp_path: Path
) -> None:
    plain = launch("dpo")
    _write_data(plain, tmp_path / "plain" / "data")
    assert _write_config(plain, tmp_path / "plain", tmp_path).demonstrations_file is None
    for side in (Side.TRAIN, Side.HELD_OUT):
        rewrite(cast.project, side)
    snapshot = freeze_snapshot(project=cast.project, created_by=cast.rosa)
    run = launch("dpo", snapshot=snapshot)
    _write_data(run, tmp_path / "data")
    file = Path(_write_config(run, tmp_path, tmp_path).demonstrations_file or "")
    assert file.name == "held_out.jsonl"
    assert "Better" in str(read_rows(file, "demonstrations"))


def test_an_estimate_counts_the_pairs_of_rewrites_when_they_are_asked_for(
    launch: Launch, cast: Cast
) -> None:
    run = launch("dpo")
    for side in (Side.TRAIN, Side.HELD_OUT):
        rewrite(cast.project, side)
    snapshot = freeze_snapshot(project=cast.project, created_by=cast.rosa)
    plain, more = (
        data_size(snapshot, get_method("dpo"), "overall", rewrites=rewrites)
        for rewrites in (False, True)
    )
    written = rows_of_kind(snapshot, "demonstrations")["overall"].train
    assert more.examples == plain.examples + written > plain.examples
    asked: dict[str, Any] = {
        "project": cast.project, "snapshot": snapshot, "method": "dpo", "criterion": "overall",
        "base_model": TINY, "config": run.config | {"epochs": 10.0, "max_steps": None},
        "former": False,
    }  # fmt: skip
    assert run_budget(**asked, rewrites=True).steps > run_budget(**asked).steps


def test_ppo_ptx_needs_texts(scorer: ModelVersion, launch: Launch, cast: Cast) -> None:
    snapshot = Snapshot.objects.get(project=cast.project)
    snapshot.manifest["rows"]["demonstrations_from_preferred"] = {}
    with pytest.raises(PrefloopError, match="also needs demonstrations or preferred answers"):
        launch("ppo_ptx", config={"reward_sources": SOURCE}, snapshot=snapshot)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "learns from rewards, and none was chosen"),
        ({"reward_sources": {"reward": {"kind": "reward_model", "folders": ["/etc"]}}},
         "no reward model of this project"),
        ({"reward_sources": {"reward": {"kind": "reward_model", "folders": ["version:1"]}}},
         "no reward model of this project"),
        ({"reward_sources": {"reward": {"kind": "magic"}}}, "magic"),
        ({"reward_sources": SOURCE, "value_model": "/etc"}, "cannot be set here"),
        ({"reward_sources": SOURCE, "rollout_source": {"kind": "serve", "url": "http://x"}},
         "samples its answers itself"),
        ({"reward_sources": {"reward": {"kind": "judge", "judge": "lena"}}},
         "no judge called “lena”"),
        ({"reward_sources": {"check": {"kind": "verifier", "verifier": "nobody"}}},
         "no verifier “nobody”; there are contains_answer, exact_answer, final_number"),
    ],
)  # fmt: skip
def test_what_is_refused(
    scorer: ModelVersion, launch: Launch, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(PrefloopError, match=words):
        launch("ppo", config=config)
    assert not TrainingRun.objects.exists()


def test_it_writes_no_answers(scorer: ModelVersion, cast: Cast) -> None:
    with pytest.raises(PrefloopError, match="cannot be promoted"):
        promote_version(version=scorer, replacing=None, by=cast.ada)


def test_from_the_form(scorer: ModelVersion, client: Client, cast: Cast) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    shown = client.get(url, {"method": "grpo"}).content.decode()
    for words in ("Rewards and rollouts", "Reward model to watch", "Kl budget", "Length penalty"):
        assert words.lower() in shown.lower()
    given = form_data(shown) | {"base_model": TINY, "reward_model": "version:2"}
    given |= {"length_penalty": "0.5", "length_limit": "40", "watched_model": "version:2"}
    response = client.post(url, given)
    run = TrainingRun.objects.get()
    assert response["Location"] == reverse("training:run", args=[cast.project.pk, run.pk])
    assert run.config["reward_sources"]["reward"] == SOURCE["reward"]
    assert run.config["reward_sources"]["length"]["limit"] == 40
    assert run.config["test_reward"] == "watched"
    version = client.get(reverse("training:version", args=[cast.project.pk, 2])).content.decode()
    assert "A reward model scores answers" in version
