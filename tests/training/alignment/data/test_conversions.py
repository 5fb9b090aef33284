"""Rows of one kind from rows of another, only when asked."""

import pytest

from tests.training.alignment.tiny import write_lines
from training.alignment.data import DataError, read_rows
from training.alignment.data.conversions import CONVERSIONS

PAIR = {"id": "P", "prompt": "p", "chosen": "c", "rejected": "r"}
LIST = {"id": "L", "prompt": "p", "completions": ["a", "b", "c"], "ranks": [1, 2, 1]}
GOOD = {"id": "G", "prompt": "p", "completion": "g", "label": True}
BAD = {**GOOD, "id": "B", "completion": "b", "label": False}
DEMONSTRATION = {"id": "D", "prompt": "q", "completion": "d"}
LINES = {"pairs": PAIR, "lists": LIST, "binary": GOOD, "demonstrations": DEMONSTRATION}


def made(tmp_path, lines, data, *convert):
    return read_rows(write_lines(tmp_path / "rows.jsonl", lines), data, convert)


@pytest.mark.parametrize(("have", "need"), [*CONVERSIONS])
def test_nothing_is_converted_unasked(tmp_path, have, need):
    if (have, need) == ("lists", "pairs"):
        assert len(made(tmp_path, [LIST], "pairs")) == 3
        return
    with pytest.raises(DataError, match=f"from {have} when that is asked for"):
        made(tmp_path, [LINES[have]], need)
    assert made(tmp_path, [LINES[have]], need, have)


def test_a_pair_gives_a_good_and_a_bad_answer(tmp_path):
    lines = [PAIR, {**PAIR, "id": "Q", "probability": 0.3, "weight": 2}]
    rows = made(tmp_path, lines, "binary", "pairs")
    assert [(row.id, row.completions["completion"], row.target, row.weight) for row in rows] == [
        ("P-good", "c", 1.0, 1.0),
        ("P-bad", "r", 0.0, 1.0),
        ("Q-good", "r", 1.0, 2.0),
        ("Q-bad", "c", 0.0, 2.0),
    ]


def test_the_pairs_of_a_group_share_its_weight_whatever_they_become(tmp_path):
    lines = [{**PAIR, "id": name, "group": "g"} for name in "PQ"]
    for need in ("pairs", "binary", "demonstrations"):
        assert {row.weight for row in made(tmp_path, lines, need, "pairs")} == {0.5}
    assert [row.weight for row in made(tmp_path, lines, "prompts", "pairs")] == [1.0]


def test_the_good_side_is_a_demonstration(tmp_path):
    lines = [PAIR, {**PAIR, "id": "Q", "probability": 0.3}, LIST, GOOD, BAD, DEMONSTRATION]
    rows = made(tmp_path, lines, "demonstrations", "pairs", "lists", "binary")
    found = {row.id: (row.completions["completion"], row.weight) for row in rows}
    assert found == {
        "P": ("c", 1.0),
        "Q": ("r", 1.0),
        "L-0": ("a", 0.5),
        "L-2": ("c", 0.5),
        "G": ("g", 1.0),
        "D": ("d", 1.0),
    }
    assert {row.target for row in rows} == {1.0}


@pytest.mark.parametrize("need", ["binary", "demonstrations"])
def test_a_tie_has_no_good_side(tmp_path, need):
    tied = {**PAIR, "probability": 0.5}
    assert len(made(tmp_path, [tied, PAIR], need, "pairs")) == {"binary": 2}.get(need, 1)
    with pytest.raises(DataError, match=f"no usable {need} row"):
        made(tmp_path, [tied], need, "pairs")


def test_a_list_that_ties_throughout_demonstrates_nothing(tmp_path):
    level = {**LIST, "id": "T", "ranks": [1, 1, 1]}
    rows = made(tmp_path, [level, DEMONSTRATION], "demonstrations", "lists")
    assert [row.id for row in rows] == ["D"]


def test_each_prompt_is_asked_once(tmp_path):
    rows = made(tmp_path, [*LINES.values(), BAD], "prompts", *LINES)
    assert [(row.id, row.prompt, row.completions) for row in rows] == [
        ("P", "p", {}),
        ("D", "q", {}),
    ]


def test_an_answer_to_a_question_becomes_a_prompt_that_knows_the_answer(tmp_path):
    line = {**DEMONSTRATION, "answer": "4"}
    (row,) = made(tmp_path, [line], "prompts", "demonstrations")
    assert (row.prompt, row.completions, row.facts) == ("q", {}, {"answer": "4"})


def test_a_list_of_prompts_may_ask_twice(tmp_path):
    assert len(made(tmp_path, [{"prompt": "p"}, {"prompt": "p"}], "prompts")) == 2
