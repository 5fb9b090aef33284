"""Two processes over gloo give the numbers of one process with the same global batch."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.alignment.conftest import WRITERS, read_metrics
from tests.training.alignment.test_resume import wait_for_step
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.methods import get_method
from training.alignment.train import run

# With --cpu, accelerate would start one process only, without mpirun. With --multi_gpu it calls
# torchrun, and the processes, told that their device is the CPU, talk over gloo.
TWICE = (
    sys.executable,
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no"),
    *("--dynamo_backend", "no"),
)
# What accelerate calls; enough where the launcher is not in question.
TORCHRUN = (
    sys.executable,
    *("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
)
LAUNCH = (*TORCHRUN, "-m", "training.alignment.train")
METHODS = ("dpo", "kto", "sft", "dpo_pl", "beta_dpo", "reward_bradley_terry")


def test_two_processes_give_the_numbers_of_one(make_config, environment, tmp_path):
    def of(method, name, batch_size):
        write = WRITERS[get_method(method).data]
        return make_config(
            method=method,
            train_file=str(write(tmp_path / f"{method}.jsonl", 24)),
            held_out_file=str(write(tmp_path / f"{method}-held-out.jsonl", 12, offset=24)),
            output_dir=str(tmp_path / f"{method}-{name}"),
            batch_size=batch_size,
            gradient_accumulation=2,
        )

    ones = [of(method, "one", 2) for method in METHODS]
    twos = [of(method, "two", 1) for method in METHODS]
    for one in ones:
        run(one)
    files = [tmp_path / f"{method}.run.json" for method in METHODS]
    for two, file in zip(twos, files, strict=True):
        file.write_text(two.to_json(), "utf-8")
    command = (*TWICE, "-m", "tests.training.alignment.runs_in_turn", *map(str, files))
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("steps of 4.") == len(METHODS)
    for one, two in zip(ones, twos, strict=True):
        assert_same_numbers(two, one)
        assert (Path(two.output_dir) / "evaluation.json").exists()


def assert_same_numbers(two, one):
    ours, theirs = (
        [
            {k: v for k, v in line["metrics"].items() if k != "seconds_per_step"}
            for line in read_metrics(config)
        ]
        for config in (two, one)
    )
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        assert line == pytest.approx(other, rel=1e-4, abs=1e-4)


def test_sharded_weights_give_the_numbers_and_the_model_of_one(make_config, start, tmp_path):
    one = make_config(batch_size=2, gradient_accumulation=2)
    run(one)
    two = make_config(
        batch_size=1,
        gradient_accumulation=2,
        shard=True,
        output_dir=str(tmp_path / "two"),
    )
    process = start(two, *LAUNCH)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert_same_numbers(two, one)
    ours, theirs = (
        load_file(Path(config.output_dir) / "model" / "model.safetensors") for config in (two, one)
    )
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=2e-5, rtol=1e-3)


def test_a_sharded_run_that_is_stopped_goes_on_with_the_same_numbers(make_config, start, tmp_path):
    settings = {"method": "sft", "adapter": "lora", "max_steps": 30, "held_out_file": None}
    one = make_config(batch_size=2, gradient_accumulation=1, **settings)
    run(one)
    two = make_config(
        batch_size=1,
        gradient_accumulation=1,
        shard=True,
        output_dir=str(tmp_path / "two"),
        **settings,
    )
    process = start(two, *LAUNCH)
    wait_for_step(two, process, 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    found = latest_checkpoint(Path(two.output_dir) / "checkpoints")
    assert found is not None
    assert 3 <= found.step < 30
    process = start(two, *LAUNCH)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert f"Going on from the checkpoint after step {found.step}." in output
    assert_same_numbers(two, one)
