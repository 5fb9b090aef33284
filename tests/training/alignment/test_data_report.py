"""What a report says of data that suit a method badly."""

import json
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from training.alignment.data_report import balance_warnings
from training.alignment.train import run

EVEN = {"desirable_weight": 1.0, "undesirable_weight": 1.0}


@pytest.mark.parametrize(
    ("good", "bad", "weights"),
    [
        (10, 10, EVEN),
        (4, 3, EVEN),
        (10, 40, {"desirable_weight": 4.0, "undesirable_weight": 1.0}),
        (10, 40, {"desirable_weight": 1.34, "undesirable_weight": 0.333}),
        (40, 10, {"desirable_weight": 1.0, "undesirable_weight": 3.0}),
    ],
)
def test_a_balance_within_the_advised_range_is_no_news(good, bad, weights):
    assert balance_warnings(good, bad, **weights) == []


@pytest.mark.parametrize(
    ("good", "bad", "remedy"),
    [
        (10, 40, "set desirable_weight to 4."),
        (7, 5, "set undesirable_weight to 1.4."),
        (0, 5, "one of them is nothing"),
        (5, 0, "one of them is nothing"),
    ],
)
def test_a_balance_outside_it_names_a_weight_that_would_do(good, bad, remedy):
    (warning,) = balance_warnings(good, bad, **EVEN)
    assert f"{good} good answers" in warning
    assert remedy in warning


def test_a_run_of_kto_is_warned_in_its_report_and_log(make_config, tmp_path, capsys):
    rows = [
        {"prompt": tiny.user(f"{n}?"), "completion": tiny.assistant("yes"), "label": n < 2}
        for n in range(8)
    ]
    file = tiny.write_lines(tmp_path / "few_good.jsonl", rows)
    config = make_config(method="kto", train_file=str(file), held_out_file=None, max_steps=1)
    run(config)
    report = json.loads((Path(config.output_dir) / "data_report.json").read_text())
    (warning,) = report["train"]["warnings"]
    assert "set desirable_weight to 3." in warning
    assert f"WARNING {warning}" in capsys.readouterr().out
    assert report["held_out"]["warnings"] == []
