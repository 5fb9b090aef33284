"""Two processes over gloo give the numbers of one process with the same global batch."""

import sys
from pathlib import Path

import pytest

from tests.training.alignment.conftest import read_metrics
from training.alignment.train import run

# `accelerate launch --cpu` starts one process only, without mpirun; torchrun starts both.
LAUNCH = (
    sys.executable,
    *("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
    *("-m", "training.alignment.train"),
)


@pytest.mark.parametrize("method", ["dpo", "kto", "sft", "dpo_pl", "beta_dpo"])
def test_two_processes_give_the_numbers_of_one(make_config, start, tmp_path, method):
    one = make_config(method=method, batch_size=2, gradient_accumulation=2)
    run(one)
    two = make_config(
        method=method,
        batch_size=1,
        gradient_accumulation=2,
        output_dir=str(tmp_path / "two"),
    )
    process = start(two, *LAUNCH)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "steps of 4." in output
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
    assert (Path(two.output_dir) / "evaluation.json").exists()
