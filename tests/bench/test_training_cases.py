"""The rows of a comparison: batches of similar length in an order that both sides share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.measures.training_dpo import CASES
from bench.training.cases import Case, OnlineCase, prompts, write_rows


@pytest.fixture
def pandalm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pairs of falling length, one without a majority and one with an empty answer."""
    (tmp_path / "pandalm").mkdir()
    items = [_item(f"{number} " * (13 - number), "1") for number in range(12)]
    items += [_item("tied", "0"), _item("empty", "2") | {"response1": " "}]
    (tmp_path / "pandalm" / "testset-v1.json").write_text(json.dumps(items))
    monkeypatch.setenv("PREFLOOP_TEST_DATA", str(tmp_path))
    return tmp_path


def _item(instruction: str, vote: str) -> dict[str, Any]:
    votes = {f"annotator{number}": vote for number in (1, 2, 3)}
    return {
        "instruction": instruction,
        "input": "",
        "response1": "a good answer",
        "response2": "bad",
        **votes,
    }


def _rows(case: Case, folder: Path, steps: int) -> list[dict[str, Any]]:
    path = folder / "rows.jsonl"
    write_rows(case, path, steps, lambda text: len(text.split()))
    return [json.loads(line) for line in path.read_text().splitlines()]


def _lengths(rows: list[dict[str, Any]]) -> list[int]:
    return [len(row["prompt"][0]["content"].split()) for row in rows]


def test_a_batch_holds_neighbours_by_length_and_batches_are_shuffled(pandalm: Path) -> None:
    rows = _rows(Case("dpo"), pandalm, 3)
    batches = [_lengths(rows)[start : start + 4] for start in (0, 4, 8)]
    assert sorted(batches) == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13]]
    assert batches != sorted(batches)
    assert rows == _rows(Case("dpo"), pandalm, 3)


def test_the_majority_names_the_chosen_answer(pandalm: Path) -> None:
    row = _rows(Case("dpo", batch=12), pandalm, 1)[0]
    assert row["chosen"][0]["content"] == "a good answer"
    assert row["rejected"][0]["content"] == "bad"


def test_kto_gets_each_answer_with_its_label(pandalm: Path) -> None:
    rows = _rows(Case("kto"), pandalm, 6)
    assert len(rows) == 24
    assert sum(row["label"] for row in rows) == 12


def test_long_prompts_are_several_times_their_answers(tmp_path: Path) -> None:
    rows = _rows(Case("dpo", data="long"), tmp_path, 3)
    assert _lengths(rows) == [354] * 12
    assert {len(row["chosen"][0]["content"].split()) for row in rows} == {63}


def test_too_few_data_are_refused(pandalm: Path) -> None:
    with pytest.raises(ValueError, match="3 batches of 4 examples, not 4"):
        _rows(Case("dpo"), pandalm, 4)
    with pytest.raises(ValueError, match="12 short prompts, not 13"):
        prompts(13)


def test_prompts_are_different_ones_in_the_order_of_the_data(pandalm: Path) -> None:
    assert [prompt[0]["content"][0] for prompt in prompts(3)] == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["bfloat16", "lora", "long_prompts"])
def test_each_timed_case_of_pairs_has_a_float32_twin(name: str) -> None:
    twin = CASES["float32" if name == "bfloat16" else f"{name}_float32"]
    assert replace(CASES[name], dtype="float32", batch=twin.batch) == replace(twin, timed=True)


def test_adapters_learn_faster() -> None:
    assert Case("dpo", adapter="lora").learning_rate > Case("dpo").learning_rate
    assert OnlineCase("grpo", {}).learning_rate == Case("dpo").learning_rate
