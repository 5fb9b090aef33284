"""What a report says of data that suit a method badly."""

import json
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from training.alignment.data import SourceReport
from training.alignment.data_report import DataReport, balance_warnings
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
    said = capsys.readouterr().out
    assert f"WARNING {warning}" in said
    assert "Training data: 8 examples of 8 rows, the longest sequence has " in said
    assert "Held-out data" not in said
    assert "{" not in said
    assert report["held_out"]["warnings"] == []


def test_a_report_in_words_names_what_happened_and_nothing_else():
    report = DataReport(
        rows=40, examples=38, prompts_truncated=3, completions_truncated=1, dropped_too_long=2,
        longest_sequence=512, padding_share=0.214, refused=1, tools_left_out=6,
        source=SourceReport(bad_rows=5, unread={"weight": 4}),
    )  # fmt: skip
    assert report.in_words() == (
        "38 examples of 40 rows, prompts cut 3, completions cut 1, rows dropped as too long 2, "
        "rows refused by the tokenizer left out 1, bad rows left out 5, "
        "rows whose tools the prompt leaves out 6, rows whose messages' 'weight' is not read 4, "
        "the longest sequence has 512 tokens, batches of 8 would be 21% padding"
    )


def test_a_report_names_the_first_twenty_refused_rows():
    report = DataReport(rows=40)
    for number in range(23):
        report.refuse(f"r{number}", ValueError("odd"))
    first, *_, last = report.told_refused().split("\n")
    assert (first, last) == ("row 'r0': odd", "and 3 more of 40 rows are refused")
    assert len(report.refusals) == len(report.dropped_ids) == 20
