from dataclasses import replace

import pytest

from tests.training.alignment import tiny
from tests.training.alignment.conftest import read_metrics
from training.alignment.config import TrainingConfig
from training.alignment.options import OptionError
from training.alignment.recipes import rlhf
from training.alignment.reward_model import is_reward_model
from training.alignment.train import run

BASE = TrainingConfig(
    method="sft", base_model="base", train_file="", output_dir="recipe", seed=7, batch_size=2
)


def test_each_stage_starts_from_what_the_one_before_left():
    sft, reward, ppo = rlhf(BASE, demonstrations="demos", preferences="pairs")
    assert [stage.config.method for stage in (sft, reward, ppo)] == [
        "sft", "reward_bradley_terry", "ppo",
    ]  # fmt: skip
    assert sft.config.base_model == "base"
    assert reward.config.base_model == ppo.config.base_model == str(sft.model)
    assert ppo.config.reference == str(sft.model)
    assert ppo.config.value_model == str(reward.model)
    assert ppo.config.reward_sources["reward_model"]["folders"] == [str(reward.model)]
    assert [stage.config.train_file for stage in (sft, reward, ppo)] == ["demos", "pairs", "pairs"]
    assert len({stage.config.output_dir for stage in (sft, reward, ppo)}) == 3
    assert {stage.config.seed for stage in (sft, reward, ppo)} == {7}


def test_a_stages_own_settings_come_last():
    changes = {"ppo": {"method": "rloo", "kl_budget": 3.0}, "sft": {"learning_rate": 1e-4}}
    sft, reward, last = rlhf(
        BASE, demonstrations="d", preferences="p", prompts="q", changes=changes
    )
    assert sft.config.learning_rate == 1e-4
    assert reward.config.learning_rate != 1e-4
    assert (last.config.method, last.config.kl_budget, last.config.train_file) == ("rloo", 3.0, "q")


def test_a_wrong_setting_is_named_before_anything_runs():
    with pytest.raises(OptionError, match="learning_rat"):
        rlhf(BASE, demonstrations="d", preferences="p", changes={"ppo": {"learning_rat": 1}})


def test_the_three_stages_run_one_after_the_other(make_config, tmp_path):
    pairs = str(tiny.write_pairs(tmp_path / "pairs.jsonl", 12))
    base = replace(
        make_config(max_steps=2, output_dir=str(tmp_path / "recipe")),
        held_out_file=None, prompts_per_step=2, samples_per_prompt=2, max_new_tokens=4,
        max_length=64, max_prompt_length=48,
    )  # fmt: skip
    short = {"max_steps": 2, "warmup_steps": 0}
    stages = rlhf(
        base,
        demonstrations=pairs,
        preferences=pairs,
        changes={"sft": short, "reward": short, "ppo": short},
    )
    for stage in stages:
        assert run(stage.config) == 0
        assert (stage.model / "model.safetensors").exists()
    assert is_reward_model(stages[1].model)
    steps = [line["metrics"] for line in read_metrics(stages[2].config)]
    assert [values["reward"] for values in steps] == pytest.approx(
        [values["reward_reward_model"] for values in steps]
    )
    assert steps[0]["kl_k3"] == pytest.approx(0.0, abs=1e-5)
