import json

import pytest

from tests.training.alignment.tiny import assistant, user, write_lines
from training.alignment.data import DataError, read_rows, without_ties

PAIR = {"prompt": "p", "chosen": "c", "rejected": "r"}


def rows_of(tmp_path, *lines, data="pairs"):
    return read_rows(write_lines(tmp_path / "rows.jsonl", list(lines)), data)


def test_a_pair_of_messages(tmp_path):
    line = {
        "id": 7,
        "prompt": user("p"),
        "chosen": assistant("c"),
        "rejected": assistant("r"),
        "probability": 0.8,
        "weight": 2,
    }
    (row,) = rows_of(tmp_path, line)
    assert (row.id, row.group, row.target, row.weight) == ("7", "7", 0.8, 2.0)
    assert row.completions == {"chosen": assistant("c"), "rejected": assistant("r")}


def test_tool_calls_reach_the_chat_template_with_their_arguments_as_objects(tmp_path):
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    chosen = [{**assistant("")[0], "tool_calls": [{"type": "function", "function": function}]}]
    line = {"prompt": user("p"), "chosen": chosen, "rejected": assistant("r")}
    (row,) = rows_of(tmp_path, line)
    (call,) = row.completions["chosen"][0]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Bern"}}


def test_a_plain_pair_is_certain_and_counts_once(tmp_path):
    (row,) = rows_of(tmp_path, PAIR)
    assert (row.id, row.target, row.weight) == ("rows-1", 1.0, 1.0)


def test_a_list_becomes_its_pairs_which_share_its_weight(tmp_path):
    line = {"id": "L", "prompt": "p", "completions": ["a", "b", "c"], "ranks": [2, 1, 3]}
    rows = rows_of(tmp_path, line)
    sides = [(row.completions["chosen"], row.completions["rejected"]) for row in rows]
    assert sides == [("b", "a"), ("b", "c"), ("a", "c")]
    assert {row.group for row in rows} == {"L"}
    assert sum(row.weight for row in rows) == pytest.approx(1.0)
    assert len({row.id for row in rows}) == 3


def test_a_tie_in_a_list_is_a_pair_of_one_half_that_can_be_dropped(tmp_path):
    line = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [1, 1, 2], "weight": 3}
    rows = rows_of(tmp_path, line)
    assert [row.target for row in rows] == [0.5, 1.0, 1.0]
    assert [row.weight for row in without_ties(rows)] == pytest.approx([1.0, 1.0])


def test_pairs_of_one_group_share_a_weight_unless_they_name_one(tmp_path):
    grouped = [{**PAIR, "group": "g"}, {**PAIR, "group": "g"}, {**PAIR, "weight": 5, "group": "h"}]
    assert [row.weight for row in rows_of(tmp_path, *grouped)] == [0.5, 0.5, 5.0]


def test_a_pair_whose_rejected_side_is_likelier_is_turned_round(tmp_path):
    (row,) = without_ties(rows_of(tmp_path, {**PAIR, "probability": 0.2}))
    assert row.completions == {"chosen": "r", "rejected": "c"}
    assert row.target == 1.0


def test_binary_rows(tmp_path):
    lines = [{"prompt": "p", "completion": "c", "label": label} for label in (True, 0)]
    rows = rows_of(tmp_path, *lines, data="binary")
    assert [row.target for row in rows] == [1.0, 0.0]


def test_equal_prompts_have_equal_keys(tmp_path):
    one, two, three = rows_of(tmp_path, PAIR, {**PAIR, "chosen": "x"}, {**PAIR, "prompt": "q"})
    assert one.prompt_key == two.prompt_key != three.prompt_key


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({"text": "p"}, "none of the fields"),
        ({"prompt": "p"}, "has the shape of prompts data"),
        ({**PAIR, "chosen": ""}, "'chosen' must be"),
        ({**PAIR, "chosen": None}, "'chosen' must be"),
        ({**PAIR, "prompt": user("p")}, "of one kind"),
        ({**PAIR, "chosen": user("x")}, "message of the assistant"),
        ({**PAIR, "probability": 1.5}, "'probability' must be a number from 0 to 1"),
        ({**PAIR, "weight": 0}, "'weight' must be"),
        ({"prompt": "p", "completions": ["a"], "ranks": [1]}, "two or more"),
        ({"prompt": "p", "completions": ["a", "b"], "ranks": [1]}, "must hold 2"),
        ({"prompt": "p", "completions": ["a", "b"], "ranks": [1, "x"]}, "must hold 2"),
        ({"prompt": "p", "completion": "c", "label": True}, "the method needs pairs"),
    ],
)
def test_a_bad_row_is_named_with_its_field(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(json.dumps(PAIR) + "\n\n" + text + "\n", "utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl, row 3: ") as caught:
        read_rows(path, "pairs")
    assert message in str(caught.value)


@pytest.mark.parametrize("label", [None, "yes", 2, 0.5])
def test_a_label_is_true_or_false(tmp_path, label):
    with pytest.raises(DataError, match="'label' must be true or false"):
        rows_of(tmp_path, {"prompt": "p", "completion": "c", "label": label}, data="binary")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no usable pairs row"):
        rows_of(tmp_path)
