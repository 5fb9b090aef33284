"""Answers to the same prompts through an offline run."""

import json
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses
from training.alignment.train import run

SAMPLED = {"sample_prompts": 3, "sample_max_new_tokens": 5, "step_sample_prompts": 2}


def written(config):
    path = Path(config.output_dir) / "step_samples.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_same_prompts_are_answered_at_each_evaluation(make_config, tmp_path, adapter):
    config = make_config(adapter=adapter, **SAMPLED)
    run(config)
    lines = written(config)
    places = [(line["step"], line["position"]) for line in lines]
    assert places == [(step, place) for step in (0, 3, 6) for place in (0, 1)]
    assert lines[0]["prompt"] == lines[2]["prompt"] != lines[1]["prompt"]
    assert all(1 <= line["tokens"] <= 5 for line in lines)
    evaluated = (Path(config.output_dir) / "samples.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["prompt"] for line in evaluated][:2] == [
        line["prompt"] for line in lines[:2]
    ]
    silent = make_config(
        adapter=adapter, output_dir=str(tmp_path / "silent"), **SAMPLED | {"step_sample_prompts": 0}
    )
    run(silent)
    assert losses(silent) == losses(config)
    assert not (Path(silent.output_dir) / "step_samples.jsonl").exists()


def test_a_run_that_begins_anew_forgets_what_was_written(make_config):
    config = make_config(**SAMPLED, max_steps=2)
    stale = Path(config.output_dir) / "step_samples.jsonl"
    tiny.write_lines(stale, [{"step": 0, "position": 0}, {"step": 1, "position": 0}])
    run(config)
    assert [line["step"] for line in written(config)] == [0, 0, 2, 2]
    assert all("text" in line for line in written(config))


def test_a_reward_model_answers_nothing(make_config):
    config = make_config(method="reward_bradley_terry", max_steps=1, **SAMPLED)
    run(config)
    assert not (Path(config.output_dir) / "step_samples.jsonl").exists()
