"""A run that is killed, stopped or damaged goes on with the numbers of an unbroken one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.offline import TrainingError
from training.alignment.supervision import lock_folder
from training.alignment.train import run

PATIENCE = 120.0


def wait_for(condition, process):
    began = time.monotonic()
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)


def wait_for_step(config, process, step):
    file = Path(config.output_dir) / "metrics.jsonl"
    wait_for(lambda: file.exists() and f'"step": {step},' in file.read_text(), process)


def everything(config):
    """All metrics but times, by step and name."""
    return {
        (line["step"], name): value
        for line in read_metrics(config)
        for name, value in line["metrics"].items()
        if name != "seconds_per_step"
    }


def test_a_killed_run_goes_on_with_the_same_numbers(make_config, start, tmp_path):
    settings = {"max_steps": 60, "schedule": "cosine", "checkpoint_every": 7, "evaluate_every": 5}
    unbroken = make_config(**settings, output_dir=str(tmp_path / "unbroken"))
    run(unbroken)
    broken = make_config(**settings)
    process = start(broken)
    wait_for_step(broken, process, 17)
    process.kill()
    process.wait()
    found = latest_checkpoint(Path(broken.output_dir) / "checkpoints")
    assert found is not None
    assert found.step >= 14
    process = start(broken)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert f"Going on from the checkpoint after step {found.step}." in output
    ours, theirs = everything(broken), everything(unbroken)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-7)
    names = [(line["step"], name) for line in read_metrics(broken) for name in line["metrics"]]
    assert len(names) == len(set(names))


def test_lora_with_dropout_goes_on_with_the_same_numbers(make_config, tmp_path):
    settings = {"adapter": "lora", "lora_dropout": 0.3, "learning_rate": 1e-2, "max_steps": 6}
    unbroken = make_config(**settings, output_dir=str(tmp_path / "unbroken"))
    run(unbroken)
    broken = make_config(**settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(5))
        with pytest.raises(KeyboardInterrupt):
            run(broken)
    run(broken)
    assert losses(broken) == pytest.approx(losses(unbroken), rel=1e-6)


def _fail_at(step):
    def log_line(number, total, values):
        if number == step:
            raise KeyboardInterrupt
        return ""

    return log_line


def test_a_stopped_run_leaves_a_checkpoint_and_exits_with_143(make_config, start):
    config = make_config(max_steps=2000, checkpoint_every=1000)
    process = start(config)
    wait_for_step(config, process, 2)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, output
    found = latest_checkpoint(Path(config.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == max(losses(config))
    assert not (Path(config.output_dir) / "error.json").exists()


def test_a_run_dies_with_the_worker_that_started_it(make_config, environment, tmp_path):
    config = make_config(max_steps=100_000)
    path = tmp_path / "given.json"
    path.write_text(config.to_json())
    command = [sys.executable, "-m", "training.alignment.train", "--supervised"]
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time; child = subprocess.Popen(sys.argv[1:], "
            "start_new_session=True, stdin=subprocess.PIPE); print(child.pid, flush=True); "
            "time.sleep(1000)",
            *command,
            "--config",
            str(path),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    child = int(worker.stdout.readline())
    wait_for_step(config, worker, 1)
    worker.kill()
    worker.wait()
    began = time.monotonic()
    while _is_running(child):
        assert time.monotonic() - began < 20
        time.sleep(0.05)
    worker.stdout.close()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_two_processes_never_write_one_folder(make_config):
    config = make_config()
    lock = lock_folder(Path(config.output_dir))
    assert lock is not None
    with pytest.raises(TrainingError, match="Another process is training"):
        run(config)
    lock.close()


def test_a_failure_leaves_one_sentence(make_config, start, tmp_path):
    rows = [{"prompt": "p", "chosen": "c"}]
    config = make_config(train_file=str(tiny.write_lines(tmp_path / "bad.jsonl", rows)))
    process = start(config)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    error = json.loads((Path(config.output_dir) / "error.json").read_text())
    assert error["reason"].startswith("bad.jsonl, row 1: field 'rejected' must be")
    assert "Traceback" in error["detail"]


def test_another_run_may_not_go_on_from_this_folder(make_config):
    first = make_config(max_steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(first)
    with pytest.raises(TrainingError, match="other settings"):
        run(make_config(max_steps=4, learning_rate=5e-4))
