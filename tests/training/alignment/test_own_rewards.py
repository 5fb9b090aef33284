"""Rewards that a notebook hands in: functions in place of the configuration's sources."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from tests.training.alignment.conftest import REPOSITORY, read_metrics
from tests.training.alignment.online_toys import write_prompts
from training.alignment.offline import make_accelerator
from training.alignment.online import train
from training.alignment.online_checks import check_sources
from training.alignment.options import OptionError
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.protocol import RewardError
from training.alignment.supervision import StopRequest
from training.alignment.train import run


@pytest.fixture
def config(make_config, tmp_path):
    """A run of one step; its folder is still to be made."""

    def make(**changes):
        values = {
            "method": "grpo", "train_file": str(write_prompts(tmp_path / "prompts.jsonl", 6)),
            "held_out_file": str(write_prompts(tmp_path / "held_out.jsonl", 2)),
            "max_steps": 1, "prompts_per_step": 2, "samples_per_prompt": 2, "max_new_tokens": 6,
            "max_prompt_length": 40, "max_length": 64, "sample_prompts": 2,
            "sample_max_new_tokens": 6,
        }  # fmt: skip
        made = make_config(**values | changes)
        shutil.rmtree(made.output_dir)
        return made

    return make


def brevity(rollouts):
    return [-len(rollout.completion) for rollout in rollouts]


def ended(rollouts):
    return [float(rollout.ended) for rollout in rollouts]


def first_step(config):
    return next(line["metrics"] for line in read_metrics(config) if "loss" in line["metrics"])


def test_a_function_rewards_a_whole_run_which_is_evaluated(config):
    made = config()
    assert run(made, rewards=brevity) == 0
    told = first_step(made)
    assert told["reward"] == told["reward_brevity"] == pytest.approx(-told["completion_length"])
    assert (Path(made.output_dir) / "evaluation.json").exists()


def test_the_loop_alone_takes_functions_too_and_makes_its_folder(config):
    made = config(watch_sources={"short": {"kind": "length"}}, test_reward="short")
    both = Composed([brevity, ended], [0.5, 2.0])
    assert train(made, make_accelerator(torch.device("cpu")), StopRequest(), rewards=both)
    told = first_step(made)
    expected = 0.5 * told["reward_brevity"] + 2.0 * told["reward_ended"]
    assert told["reward"] == pytest.approx(expected)
    assert "reward_short" in told


@pytest.mark.parametrize(
    ("changes", "rewards", "words"),
    [
        ({"reward_sources": {"short": {"kind": "length"}}}, brevity,
         "reward_sources: must be left out where rewards are handed in"),
        ({"watch_sources": {"brevity": {"kind": "length"}}}, brevity, "name as a trained one"),
        ({}, lambda rollouts: [0.0], "'<lambda>': a source's name is"),
        ({"method": "dpo"}, brevity, "rewards: Direct .* samples no answers"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewarded_so_is_refused(config, changes, rewards, words):
    with pytest.raises(OptionError, match=words):
        run(config(**changes), rewards=rewards)


def test_no_function_at_all_is_refused(config):
    with pytest.raises(RewardError, match="needs at least one"):
        run(config(), rewards=[])


def test_a_watched_source_of_a_notebook_may_be_the_test(config):
    check_sources(config(test_reward="ended"), Composed.of([brevity, ended]))
    with pytest.raises(OptionError, match="'other' is no source; there are brevity, ended"):
        check_sources(config(test_reward="other"), Composed.of([brevity, ended]))


def test_the_example_of_the_docs_runs(model_folder, tmp_path, monkeypatch):
    page = (REPOSITORY / "docs" / "online.md").read_text("utf-8")
    section = page.split("## Rewards of your own\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    shutil.copytree(model_folder, tmp_path / "models" / "smollm2")
    write_prompts(tmp_path / "prompts.jsonl", 3)
    write_prompts(tmp_path / "held_out.jsonl", 1)
    monkeypatch.chdir(tmp_path)
    told = {}
    exec(code, told)  # noqa: S102  # ours, from the page
    assert "reward_brevity" in first_step(told["config"])
    assert (tmp_path / "runs" / "brief" / "result.json").exists()
