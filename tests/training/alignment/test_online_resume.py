"""An online run that is killed goes on with the numbers of an unbroken one, wherever it was."""

import json
import signal
import sys
from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import read_metrics
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.journal import Journal
from training.alignment.offline import make_accelerator
from training.alignment.online import advantages, pretraining_step, train, update
from training.alignment.online_answers import answer
from training.alignment.online_run import hand_on_weights, prepare, step_prompts
from training.alignment.supervision import StopRequest
from training.alignment.watching import Clock

PROCESS = (sys.executable, "-m", "tests.training.alignment.online_process")
TWO = (
    sys.executable,
    *("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
    *("-m", "tests.training.alignment.online_process"),
)
PATIENCE = 900  # seconds: a busy machine is slow, and only a hang is to fail
METHODS = {
    "ppo": {"epochs_per_batch": 2, "mini_batches": 2, "kl_controller": "ziegler", "kl_target": 0.1},
    "ppo_ptx": {"epochs_per_batch": 1, "ptx_examples": 1, "ptx_coefficient": 0.1},
    "reinforce": {},
}


@pytest.fixture
def config(make_config, tmp_path):
    rows = [{"prompt": "", "completion": f"Text number {number}."} for number in range(6)]
    ptx = tiny.write_lines(tmp_path / "ptx.jsonl", rows)

    def make(method, **changes):
        values = {
            "train_file": str(write_prompts(tmp_path / "prompts.jsonl", 12)),
            "held_out_file": str(write_prompts(tmp_path / "held_out.jsonl", 3)),
            "learning_rate": 3e-3, "warmup_steps": 2, "schedule": "cosine", "max_steps": 5,
            "epochs": 1000.0, "batch_size": 4, "prompts_per_step": 4, "samples_per_prompt": 2,
            "max_new_tokens": 5, "max_prompt_length": 40, "max_length": 64, "checkpoint_every": 2,
            "evaluate_every": 2, "sample_prompts": 3, "hyperparameters": METHODS[method],
            "ptx_file": str(ptx) if method == "ppo_ptx" else None,
        }  # fmt: skip
        return make_config(method=method, **values | changes)

    return make


def everything(config):
    """All metrics but times, by step and name; no name twice."""
    pairs = [
        ((line["step"], name), value)
        for line in read_metrics(config)
        for name, value in line["metrics"].items()
        if not name.startswith("seconds_")
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def samples(config):
    text = (Path(config.output_dir) / "step_samples.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def go(config):
    accelerator = make_accelerator(torch.device("cpu"))
    assert train(config, accelerator, StopRequest(), sources(Reward("vowels", share_of("aeiou"))))


@pytest.mark.parametrize(
    ("method", "kill"),
    [("ppo", "rollout:4"), ("ppo", "backward:15"), ("reinforce", "rollout:4")],
)
def test_a_killed_run_goes_on_with_the_same_numbers(config, start, tmp_path, method, kill):
    unbroken = config(method, output_dir=str(tmp_path / "unbroken"))
    go(unbroken)
    broken = config(method)
    process = start(broken, *PROCESS, "--kill", kill)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, output
    found = latest_checkpoint(Path(broken.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == 2
    go(broken)
    ours, theirs = everything(broken), everything(unbroken)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-7)
    assert samples(broken) == samples(unbroken)


@pytest.mark.parametrize("place", ["rollout:4", "backward:7"])
def test_a_stopped_run_keeps_its_finished_steps_and_goes_on(config, start, tmp_path, place):
    """In the fourth rollout, where a reward hangs, and in the middle of the fourth step."""
    unbroken = config("reinforce", output_dir=str(tmp_path / "unbroken"))
    go(unbroken)
    broken = config("reinforce", checkpoint_every=100)
    process = start(broken, *PROCESS, "--stop", place)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, output
    found = latest_checkpoint(Path(broken.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == {"rollout:4": 2, "backward:7": 3}[place]
    go(broken)
    ours, theirs = everything(broken), everything(unbroken)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-7)
    assert samples(broken) == samples(unbroken)


def test_a_stop_request_is_heard_between_pretraining_texts(config):
    made = config("ppo_ptx")
    run = prepare(
        made,
        make_accelerator(torch.device("cpu")),
        Journal(Path(made.output_dir), active=True),
        sources(Reward("vowels", share_of("aeiou"))),
    )
    models = {name: run.accelerator.prepare_model(one) for name, one in run.modules.items()}
    hand_on_weights(run)
    stop = StopRequest()
    seen = answer(run, stop, step_prompts(run, 0), 0, Clock())
    assert seen is not None
    learned = advantages(run, seen, {})
    stop.is_set = True
    assert update(run, stop, models, seen, learned, [0, 1, 2, 3], (0, 0)) is None
    assert all(weight.grad is None for weight in run.policy.parameters())
    asked = iter([False, True])
    assert pretraining_step(run, models, (0, 0), 8, lambda: next(asked)) is None


def test_two_processes_give_the_numbers_of_one(config, start, tmp_path):
    method = "ppo_ptx"  # it has all parts
    one = config(method, max_steps=3)
    go(one)
    two = config(method, max_steps=3, batch_size=2, output_dir=str(tmp_path / "two"))
    process = start(two, *TWO)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    ours, theirs = everything(two), everything(one)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    assert [line["text"] for line in samples(two)] == [line["text"] for line in samples(one)]
