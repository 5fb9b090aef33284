"""A run that is killed, stopped or damaged goes on with the numbers of an unbroken one."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from training.alignment.checkpoints import latest_checkpoint
from training.alignment.failures import TrainingError
from training.alignment.supervision import StopRequest, lock_folder
from training.alignment.train import main, run

PATIENCE = 300.0  # seconds: a busy machine is slow, and only a hang is to fail
TRAIN = (sys.executable, "-m", "training.alignment.train")


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
    process = start(broken, *TRAIN, "--supervised", stdin=subprocess.PIPE)
    wait_for_step(broken, process, 17)
    process.kill()
    process.communicate()
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


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [
        ("sft", "rmsprop"),
        ("dpo_pl", "adafactor"),
        ("reward_bradley_terry", "sgd"),
        ("beta_dpo", "adamw"),
    ],
)
def test_every_kind_of_run_goes_on_in_mid_epoch(make_config, tmp_path, method, optimizer):
    """Of beta-DPO the running mean and deviation are kept too."""
    settings = {"method": method, "optimizer": optimizer, "max_steps": 6, "checkpoint_every": 4}
    settings |= {"learning_rate": 1e-2, "held_out_file": None}
    unbroken = make_config(**settings, output_dir=str(tmp_path / "unbroken"))
    run(unbroken)
    broken = make_config(**settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(5))
        with pytest.raises(KeyboardInterrupt):
            run(broken)
    run(broken)
    assert everything(broken) == pytest.approx(everything(unbroken), rel=1e-6, abs=1e-7)


def test_a_run_does_not_go_on_with_other_labels_or_another_reference(make_config, tmp_path):
    config = make_config(method="kto", max_steps=3, held_out_file=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(config)
    other = str(tiny.write_model(tmp_path / "other", seed=1))
    with pytest.raises(TrainingError, match="other settings, data, model"):
        run(replace(config, reference_model=other))
    file = Path(config.train_file)
    file.write_text(file.read_text().replace('"label": true', '"label": false', 1))
    with pytest.raises(TrainingError, match="other settings, data, model"):
        run(config)


def test_what_shapes_no_number_and_what_is_newer_than_the_checkpoint_stop_no_run(make_config):
    config = make_config(max_steps=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(config)
    (folder,) = (Path(config.output_dir) / "checkpoints").glob("step-*")
    state = json.loads((folder / "state.json").read_text())
    kept = {"evaluation_reward_model": "elsewhere", "step_sample_prompts": 7, **state["identity"]}
    for newer in ("assistant_turns", "optimizer", "adam_beta1"):
        del kept[newer]
    config = replace(config, step_sample_prompts=0)
    (folder / "state.json").write_text(json.dumps({**state, "identity": kept}))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TrainingError, match=r"processes: adam_beta1, optimizer\. Go on"):
        run(replace(config, optimizer="sgd", adam_beta1=0.5))
    run(config)
    assert len(losses(config)) == 3


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


SUPERVISED = (
    "import time; from training.alignment.supervision import die_with_parent; die_with_parent(); "
    "print('ready', flush=True); time.sleep(1000)"
)
WORKER = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True, "
    "stdin=subprocess.DEVNULL, stdout=subprocess.PIPE); child.stdout.readline(); "
    "print(child.pid, flush=True); time.sleep(1000)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere standard input is watched alone")
def test_a_run_dies_with_the_worker_that_started_it(environment):
    command = [sys.executable, "-c", WORKER, SUPERVISED]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        assert _is_running(child)
        worker.kill()
    began = time.monotonic()
    while _is_running(child):
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)


def test_a_run_dies_when_its_standard_input_closes(environment):
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISED],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert process.wait(PATIENCE) == -signal.SIGKILL


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_stop_in_the_middle_of_a_step_gives_the_step_up(make_config, tmp_path):
    unbroken = make_config(max_steps=6, output_dir=str(tmp_path / "unbroken"))
    run(unbroken)
    config, stop = make_config(max_steps=6), StopAtLook(8)
    assert run(config, stop) == 143
    found = latest_checkpoint(Path(config.output_dir) / "checkpoints")
    assert found is not None
    assert found.step == 2
    assert run(config) == 0
    assert everything(config) == pytest.approx(everything(unbroken), rel=1e-6, abs=1e-7)


class StopAtLook(StopRequest):
    """Asks to stop when the loop looks for the n-th time: twice in a step and once after it."""

    def __init__(self, look: int) -> None:
        self.looks = look
        self.waits_for_loop = False

    @property
    def is_set(self) -> bool:  # type: ignore[override]
        self.looks -= 1
        return self.looks <= 0


def test_before_the_loop_a_stop_ends_the_process_at_once():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop = StopRequest()
    stop.listen()
    try:
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 143
        stop.listen()
        stop.waits_for_loop = True
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_two_processes_never_write_one_folder(make_config):
    config = make_config()
    lock = lock_folder(Path(config.output_dir))
    assert lock is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.train.LOCK_PATIENCE", 0.2)
        with pytest.raises(TrainingError, match="Another process is training"):
            run(config)
    lock.close()


def test_a_failure_lets_go_of_the_folder_while_its_traceback_is_kept(make_config, monkeypatch):
    """As a notebook keeps it: the cell that mends the run must not find it locked."""
    config = make_config(max_steps=1)
    monkeypatch.setattr("training.alignment.train.LOCK_PATIENCE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(1))
        with pytest.raises(KeyboardInterrupt) as kept:
            run(config)
    assert run(config) == 0
    assert kept.tb is not None


def test_a_failure_leaves_one_sentence(make_config, tmp_path, monkeypatch):
    rows = [{"prompt": "p", "chosen": "c"}]
    config = make_config(train_file=str(tiny.write_lines(tmp_path / "bad.jsonl", rows)))
    (tmp_path / "given.json").write_text(config.to_json())
    monkeypatch.setattr(StopRequest, "listen", lambda self: None)
    monkeypatch.setattr("sys.argv", ["train", "--config", str(tmp_path / "given.json")])
    assert main() == 1
    error = json.loads((Path(config.output_dir) / "error.json").read_text())
    assert error["reason"].startswith("bad.jsonl, row 1: looks like pairs")
    assert "Traceback" in error["detail"]


def test_a_wrong_configuration_is_told_by_the_command(tmp_path, environment):
    path = tmp_path / "given.json"
    path.write_text('{"metod": "dpo"}')
    command = [sys.executable, "-m", "training.alignment.train", "--config", str(path)]
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert result.returncode == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["reason"].startswith("metod: unknown option")


def test_another_run_may_not_go_on_from_this_folder(make_config):
    first = make_config(max_steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(first)
    with pytest.raises(TrainingError, match="other settings"):
        run(make_config(max_steps=4, learning_rate=5e-4))


def test_changed_data_or_another_base_is_another_run(make_config, tmp_path):
    config = make_config(max_steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(config)
    other = tiny.write_model(tmp_path / "other", seed=3)
    with pytest.raises(TrainingError, match="other settings, data, model"):
        run(make_config(max_steps=4, base_model=str(other)))
    tiny.write_pairs(tmp_path / "train.jsonl", 23)
    with pytest.raises(TrainingError, match="other settings, data, model"):
        run(config)
