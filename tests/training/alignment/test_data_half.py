"""Two halves of the data: for a reward model to train on and another one to watch."""

import json
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from training.alignment.data import DataError, half_of, read_rows
from training.alignment.data_report import DataReport
from training.alignment.models import load_tokenizer
from training.alignment.objective import Objective
from training.alignment.run_data import load_examples
from training.alignment.train import run


def pair(number, better="yes"):
    texts = {"chosen": better, "rejected": "no"}
    answers = {role: tiny.assistant(text) for role, text in texts.items()}
    return {"prompt": tiny.user(f"{number}?"), **answers}


@pytest.fixture
def rows(tmp_path):
    lines = [pair(number, better) for number in range(100) for better in ("yes", "yea")]
    return read_rows(tiny.write_lines(tmp_path / "pairs.jsonl", lines), "pairs")


def test_the_halves_share_no_prompt_and_lose_no_row(rows):
    first, second = half_of(rows, "first"), half_of(rows, "second")
    assert not {row.prompt_key for row in first} & {row.prompt_key for row in second}
    assert sorted(row.id for row in (*first, *second)) == sorted(row.id for row in rows)
    assert 0.3 < len(first) / len(rows) < 0.7


def test_the_halves_are_the_same_whatever_the_order(rows):
    turned = half_of(rows[::-1], "first")
    assert {row.id for row in turned} == {row.id for row in half_of(rows, "first")}


def test_a_run_learns_from_its_half_and_says_so(make_config):
    config = make_config(method="reward_bradley_terry", data_half="second", max_steps=1)
    run(config)
    whole = read_rows(Path(config.train_file), "pairs")
    report = json.loads((Path(config.output_dir) / "data_report.json").read_text())
    used = report["train"]["examples"]
    assert 0 < used == len(half_of(whole, "second")) < len(whole)
    assert report["train"]["of_the_other_half"] == len(whole) - used
    assert report["held_out"]["of_the_other_half"] == 0
    left_out = DataReport(of_the_other_half=3).in_words()
    assert "rows of the other half left out 3" in left_out


def test_a_half_without_a_prompt_is_refused(make_config, tmp_path):
    file = tiny.write_lines(tmp_path / "one.jsonl", [pair(1)])
    config = make_config(train_file=str(file))
    given = Objective.from_config(config), load_tokenizer(config.base_model), config.train_file
    (row,) = read_rows(file, "pairs")
    other = "second" if half_of([row], "first") else "first"
    with pytest.raises(DataError, match=f"one.jsonl: no prompt falls into the {other} half"):
        load_examples(config, *given, half=other)
