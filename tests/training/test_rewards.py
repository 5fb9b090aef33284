"""Reward models: versions that score, chosen by name wherever a run is rewarded or judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Prompt, Side
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
from training.alignment.rewards.verifiers import exact_answer
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


@pytest.fixture
def scorers(scorer: ModelVersion, cast: Cast) -> list[ModelVersion]:
    """Versions 2 and 3, both reward models."""
    second = make_version(cast, 3)
    second.lineage = scorer.lineage
    second.save(update_fields=["lineage"])
    return [scorer, second]


@pytest.fixture
def answers(cast: Cast, snapshot: Snapshot) -> Snapshot:
    """A snapshot whose prompts all have a reference answer."""
    Prompt.objects.update(tags={"reference": 42})
    return freeze_snapshot(project=cast.project, created_by=cast.rosa)


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


def test_a_verifier_compares_with_the_prompts_reference_answers(
    launch: Launch, answers: Snapshot, tmp_path: Path
) -> None:
    source = {"check": {"kind": "verifier", "verifier": "exact_answer"}}
    run = launch("grpo", config={"reward_sources": source}, snapshot=answers)
    assert run.config["reward_sources"] == source
    _write_data(run, tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "train.jsonl", "prompts")
    assert len(rows) == rows_of_kind(answers, "prompts")["overall"].train
    assert [exact_answer(row.prompt, " 42", row.facts) for row in rows] == [1.0] * len(rows)


def test_a_verifier_is_refused_where_a_prompt_has_nothing_to_compare_with(
    launch: Launch, answers: Snapshot, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"reward_sources": {"check": {"kind": "verifier", "verifier": "final_number"}}}
    with pytest.raises(PrefloopError, match=r"19 of 19 prompts of snapshot 1 .* no refer"):
        launch("grpo", config=config)
    Prompt.objects.filter(pk=Prompt.objects.earliest("pk").pk).update(tags={})
    lacking = freeze_snapshot(project=cast.project, created_by=cast.rosa)
    with pytest.raises(PrefloopError, match="1 of 19 prompts of snapshot 3") as refused:
        launch("grpo", config=config, snapshot=lacking)
    assert {"verifier", "reward_sources"} == refused.value.fields.keys()
    monkeypatch.setenv("PREFLOOP_VERIFIERS", "mine=json:loads")
    config["reward_sources"]["check"]["verifier"] = "mine"  # which may need no answer
    assert launch("grpo", config=config).pk


def test_launching_again_keeps_the_rewards_that_the_form_holds_and_names_the_others(
    scorers: list[ModelVersion], answers: Snapshot, launch: Launch, client: Client, cast: Cast
) -> None:
    helpful = {"kind": "reward_model", "folders": ["version:2", "version:3"], "combine": "min"}
    sources = {
        "tidy": {"kind": "format", "pattern": ".+"},
        "right": {"kind": "verifier", "verifier": "exact_answer", "time_limit": 3.0},
        "helpful": {**helpful, "weight": 2.0, "batch_size": 4},
        "short": {"kind": "length", "free": 8, "limit": 64},
    }
    config = {"reward_sources": sources, "watch_sources": SOURCE}
    run = launch("grpo", config=config, snapshot=answers)
    given = parse_qs(launch_query(run))
    assert (given["reward_model"], given["more_models"]) == (["version:2"], ["version:3"])
    assert (given["combine"], given["reward_weight"]) == (["min"], ["2.0"])
    assert (given["verifier"], given["watched_model"]) == (["exact_answer"], ["version:2"])
    assert (given["length_penalty"], given["length_limit"]) == (["1.0"], ["64"])
    lost = {
        "“tidy” (format)", "time limit of “right”", "free of “short”", "batch size of “helpful”",
    }  # fmt: skip
    assert set(left_out(run)) == lost
    client.force_login(cast.ada)
    shown = client.get(reverse("training:run", args=[run.project_id, run.pk])).text
    assert all(words in shown for words in lost)
    told = dict(run_settings(run))["reward sources"]
    assert "right: verifier, time limit 3.0, verifier exact_answer" in told
    assert "combine min, folders version:2 and version:3, weight 2.0" in told
    assert left_out(launch("grpo", config={"reward_sources": SOURCE})) == []


def test_an_ensemble_a_verifier_and_weights_from_the_form(
    scorers: list[ModelVersion], answers: Snapshot, client: Client, cast: Cast
) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    shown = client.get(url, {"method": "grpo", "snapshot": answers.pk}).text
    chosen = {
        "reward_model": "version:2", "reward_weight": "2", "more_models": "version:3",
        "combine": "uncertainty", "uncertainty_weight": "0.5",
        "verifier": "exact_answer", "verifier_weight": "0.25",
    }  # fmt: skip
    assert client.post(url, form_data(shown) | {"base_model": TINY} | chosen).status_code == 302
    run = TrainingRun.objects.get()
    assert run.config["reward_sources"] == {
        "reward": {
            "kind": "reward_model", "folders": ["version:2", "version:3"], "weight": 2.0,
            "combine": "uncertainty", "uncertainty_weight": 0.5,
        },
        "verifier": {"kind": "verifier", "verifier": "exact_answer", "weight": 0.25},
    }  # fmt: skip
    assert left_out(run) == []
    again = form_data(client.get(f"{url}?{launch_query(run)}").text)
    assert client.post(url, again).status_code == 302
    assert TrainingRun.objects.exclude(pk=run.pk).get().config == run.config


def test_a_verifier_alone_rewards_a_run(
    scorer: ModelVersion, answers: Snapshot, client: Client, cast: Cast
) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    given = form_data(client.get(url, {"method": "grpo", "snapshot": answers.pk}).text)
    assert (given["reward_model"], given["verifier"]) == ("version:2", "")
    assert "more_models" not in given
    given |= {"base_model": TINY, "reward_model": ""}
    assert "choose what gives them" in client.post(url, given).text
    assert client.post(url, given | {"verifier": "final_number"}).status_code == 302
    run = TrainingRun.objects.get()
    assert run.config["reward_sources"] == {
        "verifier": {"kind": "verifier", "verifier": "final_number"}
    }
    again = form_data(client.get(f"{url}?{launch_query(run)}").text)
    assert (again["reward_model"], again["verifier"]) == ("", "final_number")


def test_weights_of_nothing_are_refused_at_the_field(
    scorer: ModelVersion, answers: Snapshot, client: Client, cast: Cast
) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    given = form_data(client.get(url, {"method": "grpo", "snapshot": answers.pk}).text)
    given |= {"base_model": TINY, "reward_weight": "0", "verifier_weight": "0"}
    for chosen, field in (
        ({"reward_model": "version:2", "length_penalty": "1"}, "reward_weight"),
        ({"reward_model": "", "verifier": "final_number"}, "verifier_weight"),
        ({"reward_model": "version:2", "verifier": "final_number"}, "reward_weight"),
    ):
        told = client.post(url, given | chosen).text
        assert told.count("nothing to learn from") == 1
        at = told.index(f'name="{field}"')
        assert "nothing to learn from" in told[at : at + 900]
    assert not TrainingRun.objects.exists()
    both = {"reward_model": "version:2", "verifier": "final_number", "verifier_weight": "2"}
    assert client.post(url, given | both).status_code == 302
    sources = TrainingRun.objects.get().config["reward_sources"]
    assert (sources["reward"]["weight"], sources["verifier"]["weight"]) == (0.0, 2.0)


def test_the_form_says_how_to_give_reference_answers(
    client: Client, cast: Cast, snapshot: Snapshot
) -> None:
    client.force_login(cast.ada)
    url = reverse("training:launch", args=[cast.project.pk])
    shown = client.get(url, {"method": "grpo", "snapshot": snapshot.pk}).text
    assert "prompts to train on" in shown
    assert "what the judges preferred" not in shown
    given = form_data(shown) | {"base_model": TINY}
    refused = client.post(url, given | {"verifier": "final_number"}).text
    assert "have no reference answer. Import prompts with the tag “reference”" in refused


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


@pytest.mark.parametrize("method", ["kto", "dpo", "reward_bradley_terry"])
def test_a_policy_that_reads_no_pairs_is_held_to_the_held_out_ones(
    launch: Launch, tmp_path: Path, method: str
) -> None:
    run = launch(method)
    _write_data(run, tmp_path / "data")
    file = _write_config(run, tmp_path, tmp_path).held_out_pairs_file
    if method != "kto":
        assert file is None
        return
    assert len(read_rows(Path(file or ""), "pairs")) == 3


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
        ({"reward_sources": {"reward": {**SOURCE["reward"], "weight": 0}},
          "watch_sources": SOURCE},
         "Every reward has the weight 0, so there is nothing to learn from"),
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
    assert "it scores answers, and is chosen where a run asks" in version
    assert "#samples" not in version
    assert "promoted yet" not in version
