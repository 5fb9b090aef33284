"""The proof on a real model, small: a random Llama whose judges prefer yes to no."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.proofs import smollm2
from bench.training import pandalm
from bench.training.quantities import OWN, quantity
from tests.training.alignment import tiny
from training.alignment.config import TrainingConfig
from training.alignment.train import run


def _in_process(config: Path) -> None:
    assert run(TrainingConfig.load(config)) == 0


@pytest.fixture
def setting(tmp_path: Path) -> smollm2.Setting:
    rows = [
        json.loads(line)
        for line in tiny.write_pairs(tmp_path / "rows", 40).read_text().split("\n")
        if line
    ]
    shared = {"device": "cpu", "learning_rate": 3e-3, "batch_size": 8, "warmup_steps": 0}
    lengths = {"max_length": 96, "max_prompt_length": 64}
    return smollm2.Setting(
        base_model=tiny.write_model(tmp_path / "model"),
        train=rows[:24],
        held_out=rows[24:],
        policy_pairs=16,
        policy_held_out=12,
        prompts=4,
        policy={**shared, **lengths, "gradient_accumulation": 1, "sample_prompts": 2,
                "sample_max_new_tokens": 4},
        reward={**shared, **lengths, "gradient_accumulation": 1, "epochs": 4},
        online={**shared, **lengths, "batch_size": 32,
            "learning_rate": 1e-2, "prompts_per_step": 4,
                "samples_per_prompt": 8, "max_new_tokens": 6, "epochs": 1000, "max_steps": 18,
                "kl_budget": 50.0},
        longer={"orpo": 3},
        longer_held_out=16,
    )  # fmt: skip


def test_offline_methods_are_told_by_what_their_runs_wrote(
    setting: smollm2.Setting, tmp_path: Path
) -> None:
    told = {
        method: smollm2.offline(setting, tmp_path, method, _in_process)
        for method in ("sft", "dpo", "simpo", "orpo", "kto")
    }
    for method, figures in told.items():
        smollm2.check_offline(method, figures)
    evaluation = json.loads((tmp_path / "dpo" / "evaluation.json").read_text())
    assert told["dpo"]["accuracy"] == pytest.approx(
        evaluation["held_out"]["accuracy"]["value"], abs=1e-4
    )
    assert told["sft"]["perplexity"] < told["sft"]["perplexity_before"]
    assert told["sft"]["accuracy"] is None
    assert told["dpo"]["steps"] == 2
    assert told["dpo"]["by"] == told["dpo"]["margin_moved"]
    assert [told[one]["moved"] for one in ("simpo", "orpo")] == ["margin a token", "loss"]
    assert told["orpo"]["steps"] == 3
    longer = json.loads((tmp_path / "orpo" / "evaluation.json").read_text())["held_out"]
    assert longer["examples"] == 16
    assert told["orpo"]["by"] == pytest.approx(-longer["loss_moved"]["value"], abs=1e-4)
    for method, figures in told.items():
        low, high = figures["moved_95"]
        assert low < figures["by"] < high, method
        assert figures["shown"] == (low > 0.0)
        assert figures["trained"]["commit"]


def test_a_method_that_moved_the_wrong_way_fails_the_proof() -> None:
    with pytest.raises(AssertionError):
        smollm2.check_offline("dpo", {"moved_95": [-0.2, -0.1]})
    with pytest.raises(AssertionError):
        smollm2.check_online({"rise": 0.1, "rise_error": 0.2, "largest_kl": 1.0, "kl_budget": 9.0})


def test_a_method_whose_interval_includes_zero_is_told_as_not_shown(
    setting: smollm2.Setting, tmp_path: Path
) -> None:
    assert smollm2.offline(setting, tmp_path, "simpo", _in_process)["shown"]
    path = tmp_path / "simpo" / "evaluation.json"
    evaluation = json.loads(path.read_text())
    evaluation["held_out"]["reward_margin_moved"] = {"value": 0.03, "low": -0.05, "high": 0.1}
    path.write_text(json.dumps(evaluation))
    told = smollm2.offline(setting, tmp_path, "simpo", _in_process)
    smollm2.check_offline("simpo", told)
    assert (told["by"], told["moved_95"], told["shown"]) == (0.03, [-0.05, 0.1], False)


def test_changed_settings_are_not_proved_by_an_old_run(
    setting: smollm2.Setting, tmp_path: Path
) -> None:
    first = smollm2.offline(setting, tmp_path, "sft", _in_process)
    longer = replace(setting, policy={**setting.policy, "epochs": 2})
    assert smollm2.offline(setting, tmp_path, "sft", _in_process) == first
    assert smollm2.offline(longer, tmp_path, "sft", _in_process)["steps"] == 2 * first["steps"]


def test_the_reward_model_drives_both_online_methods(
    setting: smollm2.Setting, tmp_path: Path
) -> None:
    scored = smollm2.reward_model(setting, tmp_path, _in_process)
    assert scored["accuracy"] == 1.0
    for method in smollm2.ONLINE:
        told = smollm2.online(setting, tmp_path, method, _in_process)
        smollm2.check_online(told["summary"])
        assert [len(told["curves"][name]) for name in ("reward", "kl", "tokens")] == [18, 18, 18]
        summary = told["summary"]
        assert max(*told["curves"]["kl"], summary["final_kl"]) == summary["largest_kl"]
        assert summary["final_kl"] > 0.0
        assert told["reward_model_commit"] == scored["trained"]["commit"]


def test_a_run_that_fails_is_told_in_its_own_words(
    setting: smollm2.Setting, tmp_path: Path
) -> None:
    broken = replace(setting, policy={**setting.policy, "learning_rate": -1.0})
    with pytest.raises(RuntimeError, match="learning_rate"):
        smollm2.offline(broken, tmp_path, "dpo")


def test_held_out_prompts_are_not_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [_item(f"Question {number // 2}", "112") for number in range(120)]
    (tmp_path / "pandalm").mkdir()
    (tmp_path / "pandalm" / "testset-v1.json").write_text(json.dumps(items))
    monkeypatch.setenv("PREFLOOP_TEST_DATA", str(tmp_path))
    train, held_out = pandalm.split(pandalm.short(100))
    assert (len(train), len(held_out)) == (52, 68)
    assert not {item["instruction"] for item in train} & {item["instruction"] for item in held_out}
    assert pandalm.short(16) == []


def test_agreement_counts_pairs_of_annotators() -> None:
    items = [_item("a", "112"), _item("b", "110")]
    assert pandalm.agreement(items) == {"agree": 0.3333, "agree_where_both_decide": 0.5}


def _item(instruction: str, votes: str) -> dict[str, Any]:
    said = {f"annotator{number}": int(vote) for number, vote in enumerate(votes, start=1)}
    return {
        "instruction": instruction,
        "input": "",
        "response1": "good",
        "response2": "bad",
        **said,
    }


def test_what_a_loss_lowers_is_told_the_better_way_up() -> None:
    moved = {"value": -0.5, "low": -0.75, "high": 0.25}
    evaluation = {"held_out": {"loss_moved": moved, "log_ratio_margin": {}}}
    assert quantity("cpo", evaluation).improved(evaluation) == (0.5, -0.25, 0.75)
    few = {"held_out": {"loss_moved": {"value": 1.0, "low": None, "high": None}}}
    assert quantity("cpo", few).improved(few) == (-1.0, None, None)
    assert quantity("dpo", evaluation).name == "margin"
    assert quantity("sft", few).name == "chosen"
    assert set(OWN) <= set(smollm2.LONGER) <= set(smollm2.OFFLINE)
