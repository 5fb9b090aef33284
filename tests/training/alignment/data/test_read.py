import json

import pytest

from tests.training.alignment.tiny import assistant, user, write_lines
from training.alignment.data import (
    DataError,
    ReadOptions,
    read_data,
    read_records,
    read_rows,
    without_ties,
)

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
    assert (row.id, row.group, row.target, row.weight) == ("7", "", 0.8, 2.0)
    assert row.completions == {"chosen": assistant("c"), "rejected": assistant("r")}


def test_tool_calls_reach_the_chat_template_with_their_arguments_as_objects(tmp_path):
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    chosen = [{**assistant("")[0], "tool_calls": [{"type": "function", "function": function}]}]
    line = {"prompt": user("p"), "chosen": chosen, "rejected": assistant("r")}
    (row,) = rows_of(tmp_path, line)
    (call,) = row.completions["chosen"][0]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Bern"}}


def test_a_turn_that_says_nothing_is_an_answer(tmp_path):
    line = {"prompt": user("p"), "chosen": assistant("c"), "rejected": assistant("")}
    (row,) = rows_of(tmp_path, line)
    assert row.completions["rejected"] == assistant("")


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


def test_pairs_that_repeat_an_id_count_one_each(tmp_path):
    lines = [{**PAIR, "id": number} for number in (7, 7, 8)]
    assert [row.weight for row in rows_of(tmp_path, *lines)] == [1.0, 1.0, 1.0]
    named = [{**PAIR, "id": 7}, {**PAIR, "group": "7"}, {**PAIR, "group": "7"}]
    assert [row.weight for row in rows_of(tmp_path, *named)] == [1.0, 0.5, 0.5]


def test_a_group_may_have_the_number_zero(tmp_path):
    grouped = [{**PAIR, "group": 0}, {**PAIR, "group": 0}, {**PAIR, "group": ""}]
    assert [row.weight for row in rows_of(tmp_path, *grouped)] == [0.5, 0.5, 1.0]


def test_the_sign_of_a_strength_says_who_is_better_unless_a_probability_does(tmp_path):
    lines: list[dict[str, object]] = [{**PAIR, "strength": strength} for strength in (2, 0, -1, 0)]
    lines[-1]["probability"] = 0.7
    rows = rows_of(tmp_path, *lines)
    assert [row.target for row in rows] == [1.0, 0.5, 0.0, 0.7]
    assert [row.completions["chosen"] for row in without_ties(rows)] == ["c", "r", "c"]


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": "\ud83d"},
        {"chosen": "a \ude00"},
        {"prompt": user("\ud83d"), "chosen": assistant("c"), "rejected": assistant("r")},
    ],
)
def test_half_a_character_is_a_bad_row(tmp_path, more):
    with pytest.raises(DataError, match=r"row 1: field .* holds half of a surrogate pair"):
        rows_of(tmp_path, {**PAIR, **more})


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
        ({**PAIR, "chosen": ""}, "'chosen' is empty"),
        ({**PAIR, "chosen": []}, "'chosen' must be a text or a list"),
        ({**PAIR, "chosen": None}, "add the field 'chosen'"),
        ({**PAIR, "prompt": user("p")}, "of one kind"),
        ({**PAIR, "chosen": user("x")}, "message of the assistant"),
        ({**PAIR, "probability": 1.5}, "'probability' must be a number from 0 to 1"),
        ({**PAIR, "weight": 0}, "'weight' must be"),
        (
            {"prompt": assistant("p"), "chosen": assistant("c"), "rejected": assistant("r")},
            "nothing is to be said",
        ),
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


@pytest.mark.parametrize("label", ["yes", 2, 0.5])
def test_a_label_is_true_or_false(tmp_path, label):
    with pytest.raises(DataError, match="'label' must be true or false"):
        rows_of(tmp_path, {"prompt": "p", "completion": "c", "label": label}, data="binary")


def test_an_answer_without_a_label_says_which_field_to_add(tmp_path):
    line = {"prompt": "p", "completion": "c", "label": None}
    with pytest.raises(DataError, match="add the field 'label'"):
        rows_of(tmp_path, line, data="binary")


def test_lists_as_lists_keep_their_ranks(tmp_path):
    line = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [2, 1, 2], "weight": 3}
    (row,) = rows_of(tmp_path, line, data="lists")
    assert (row.ranks, row.scores, row.weight) == ((2, 1, 2), None, 3.0)
    assert row.completions == {"completion_0": "a", "completion_1": "b", "completion_2": "c"}


def test_scores_give_the_ranks_of_a_list(tmp_path):
    line = {"prompt": "p", "completions": ["a", "b", "c", "d"], "scores": [0.5, 3, -1, 3]}
    (row,) = rows_of(tmp_path, line, data="lists")
    assert (row.ranks, row.scores) == ((2, 1, 3, 1), (0.5, 3.0, -1.0, 3.0))


@pytest.mark.parametrize("scores", [[1, None], [1, float("nan")], [1], ["a", 2], [True, False]])
def test_scores_are_finite_numbers(tmp_path, scores):
    with pytest.raises(DataError, match="'scores' must hold 2 numbers"):
        rows_of(
            tmp_path, {"prompt": "p", "completions": ["a", "b"], "scores": scores}, data="lists"
        )


@pytest.mark.parametrize(
    ("fields", "margin"),
    [({}, 0.0), ({"strength": -2}, 2 / 3), ({"strength": 3}, 1.0), ({"margin": 0.4}, 0.4)],
)
def test_a_pair_may_say_by_how_much(tmp_path, fields, margin):
    (row,) = rows_of(tmp_path, {**PAIR, **fields})
    assert row.margin == pytest.approx(margin)


def test_a_prompt_keeps_what_its_rewards_may_need(tmp_path):
    (row,) = rows_of(tmp_path, {"id": 1, "prompt": "2+2", "solution": "4"}, data="prompts")
    assert (row.completions, row.facts) == ({}, {"solution": "4"})


ANSWERED = {"prompt": "p", "completion": "c"}
FACTS = {"source": "web", "tags": ["short"], "answer": "4"}


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("pairs", {**PAIR, "probability": 0.9, "strength": 1, "margin": 1, "group": "g"}),
        ("pairs", {**PAIR, "messages": [*user("p"), *assistant("c")]}),
        ("pairs", {"instruction": "i", "input": "x", "chosen": "c", "rejected": "r"}),
        ("lists", {"prompt": "p", "completions": ["a", "b"], "ranks": [1, 2], "scores": [2, 1]}),
        ("lists", {"question": "p", "answers": ["a", "b"], "ranks": [1, 2]}),
        ("binary", {**ANSWERED, "label": True, "weight": 2}),
        ("demonstrations", {**ANSWERED, "id": 1}),
        ("demonstrations", {"messages": [*user("p"), *assistant("c")]}),
        ("demonstrations", {"instruction": "i", "output": "o", "history": [["a", "b"]]}),
    ],
)
def test_a_row_keeps_as_facts_what_is_no_text_of_its_own(tmp_path, kind, line):
    path = write_lines(tmp_path / "rows.jsonl", [{**line, **FACTS}])
    assert read_data(path, kind).rows[0].facts == FACTS
    (prompt,) = read_data(path, "prompts", ReadOptions(convert=(kind,))).rows
    assert (prompt.completions, prompt.facts) == ({}, FACTS)


def test_all_bad_rows_are_told_at_once_and_counted(tmp_path):
    lines = [PAIR, *[{**PAIR, "weight": -number} for number in range(1, 26)]]
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, *lines)
    told = str(caught.value).splitlines()
    assert told[0] == (
        "rows.jsonl, row 2: field 'weight' must be a number from 1e-09 to 1e+06, not -1"
    )
    assert len(told) == 21
    assert told[-1] == "and 5 more of 26 rows cannot be used"


def test_good_rows_are_kept_where_bad_ones_may_be_left_out(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [PAIR, {**PAIR, "chosen": ""}, {"text": "x"}])
    rows, report = read_data(path, "pairs", ReadOptions(skip_bad=True))
    assert [row.id for row in rows] == ["rows-1"]
    assert (report.rows, report.bad_rows) == (3, 2)
    assert [(problem.row, problem.field) for problem in report.problems] == [(2, "chosen"), (3, "")]


def test_where_only_bad_rows_are_left_they_are_told(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{**PAIR, "chosen": ""}])
    with pytest.raises(DataError, match=r"no usable pairs row\nrows\.jsonl, row 1: field 'chosen'"):
        read_data(path, "pairs", ReadOptions(skip_bad=True))


def test_the_report_tells_shapes_kinds_and_equal_sides(tmp_path):
    listed = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [1, 2, 3]}
    path = write_lines(tmp_path / "rows.jsonl", [PAIR, {**PAIR, "rejected": "c"}, listed])
    report = read_data(path, "pairs").report
    assert report.shapes == {"pairs": 2, "lists": 1}
    assert report.kinds == {"pairs": 2, "lists": 1}
    assert (report.converted, report.identical_sides) == ({"lists": 3}, 1)


def test_plain_texts_become_a_chat_only_when_asked(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [PAIR])
    (plain,) = read_data(path, "pairs").rows
    (chat,) = read_data(path, "pairs", ReadOptions(as_chat=True)).rows
    assert plain.prompt == "p"
    assert (chat.prompt, chat.completions["chosen"]) == (user("p"), assistant("c"))


SYSTEM = [{"role": "system", "content": "Be brief."}]
TOLD = {"system": "Be brief."}


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("prompts", {"conversations": [{"from": "human", "value": "p"}]}),
        ("prompts", {"messages": user("p")}),
        ("prompts", {"instruction": "p"}),
        ("pairs", {"prompt": user("p"), "chosen": assistant("c"), "rejected": assistant("r")}),
        ("pairs", {"instruction": "p", "chosen": "c", "rejected": "r"}),
        ("pairs", {"conversations": user("p"), "chosen": "c", "rejected": "r"}),
        ("lists", {"prompt": user("p"), "completions": [assistant("a"), assistant("b")],
                   "ranks": [1, 2]}),
        ("binary", {"messages": [*user("p"), *assistant("c")], "label": True}),
        ("demonstrations", {"prompt": user("p"), "completion": assistant("c")}),
        ("demonstrations", {"messages": [*user("p"), *assistant("c")]}),
        ("demonstrations", {"instruction": "p", "output": "c"}),
    ],
)  # fmt: skip
def test_what_the_system_says_opens_every_chat(tmp_path, kind, line):
    (row,) = rows_of(tmp_path, {**line, **TOLD}, data=kind)
    assert (row.prompt, row.facts) == ([*SYSTEM, *user("p")], {})


def test_what_the_system_says_is_said_once(tmp_path):
    line = {"prompt": [*SYSTEM, *user("p")]}
    (row,) = rows_of(tmp_path, {**line, **TOLD}, data="prompts")
    assert row.prompt == line["prompt"]
    with pytest.raises(DataError, match="row 1: field 'system' differs from the talk's own first"):
        rows_of(tmp_path, {**line, "system": "Be long."}, data="prompts")
    with pytest.raises(DataError, match="row 1: field 'system' must be a text"):
        rows_of(tmp_path, {**line, "system": 3}, data="prompts")


@pytest.mark.parametrize("kind", ["pairs", "prompts"])
def test_a_plain_prompt_hears_the_system_only_as_a_chat(tmp_path, kind):
    line = {"prompt": "p"} if kind == "prompts" else PAIR
    path = write_lines(tmp_path / "rows.jsonl", [{**line, **TOLD}, {**line, "system": ""}])
    with pytest.raises(DataError, match=r"row 1: field 'system' cannot stand .*\(chat_texts\)"):
        read_data(path, kind)
    rows = read_data(path, kind, ReadOptions(as_chat=True)).rows
    assert [row.prompt for row in rows] == [[*SYSTEM, *user("p")], user("p")]


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL]), [TOOL["function"]]])
def test_tools_are_kept_beside_messages(tmp_path, tools):
    asked = {"messages": user("p"), "tools": tools}
    answers = {"preferred_output": assistant("c"), "non_preferred_output": assistant("r")}
    (talk,) = rows_of(tmp_path, {**asked, "messages": [*user("p"), *assistant("c")]},
                      data="demonstrations")  # fmt: skip
    (pair,) = rows_of(tmp_path, {"input": asked, **answers})
    assert talk.tools == pair.tools
    assert talk.tools in ([TOOL], [TOOL["function"]])
    (bare,) = rows_of(tmp_path, {"prompt": user("p"), "tools": []}, data="prompts")
    assert bare.tools is None
    assert bare.prompt_key != talk.prompt_key == pair.prompt_key


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ("weather", "field 'tools' must be a list of tools"),
        ({"name": "weather"}, "field 'tools' must be a list of tools"),
        ([TOOL, "weather"], r"field 'tools\[1\]' must have a name"),
        ([{"function": {}}], r"field 'tools\[0\]' must have a name"),
        ([{"name": "\ud800"}], r"field 'tools\[0\]' holds half of a surrogate"),
    ],
)
def test_odd_tools_of_a_chat_are_a_bad_row_and_a_fact_of_a_plain_text(tmp_path, tools, words):
    with pytest.raises(DataError, match=words):
        rows_of(tmp_path, {"prompt": user("p"), "tools": tools}, data="prompts")
    (row,) = rows_of(tmp_path, {"prompt": "p", "tools": tools}, data="prompts")
    assert (row.tools, row.facts) == (None, {"tools": tools})


def test_what_no_template_is_given_of_a_message_is_counted(tmp_path):
    thought = [{**assistant("c")[0], "reasoning_content": "because", "weight": 0, "name": "a"}]
    plain = [{**assistant("c")[0], "weight": 1, "refusal": None}]
    lines = [
        {"messages": [{**user("p")[0], "weight": 0}, *thought, *user("q"), *thought]},
        {"messages": [*user("p"), *plain]},
        {"conversations": [{"from": "human", "value": "p"},
                           {"from": "gpt", "value": "c", "weight": 0.5}]},
        {"messages": {"role": ["user", "assistant"], "content": ["p", "c"], "weight": [0, 0]}},
    ]  # fmt: skip
    path = write_lines(tmp_path / "rows.jsonl", lines)
    rows, report = read_data(path, "demonstrations")
    assert len(rows) == 4
    assert report.unread == {"reasoning_content": 1, "weight": 3}
    pair = {"prompt": user("p"), "chosen": thought, "rejected": plain}
    path = write_lines(tmp_path / "rows.jsonl", [pair])
    assert read_data(path, "pairs").report.unread == {"reasoning_content": 1, "weight": 1}


def test_a_path_may_be_a_text(tmp_path):
    path = str(write_lines(tmp_path / "rows.jsonl", [PAIR]))
    assert len(read_data(path, "pairs").rows) == len(read_rows(path, "pairs")) == 1
    assert [record.number for record in read_records(path)] == [1]


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no usable pairs row"):
        rows_of(tmp_path)


TALK = [*user("a"), *assistant("b"), *user("c"), *assistant("d")]


@pytest.mark.parametrize("line", [
    {"messages": TALK},
    {"instruction": "c", "output": "d", "history": [["a", "b"]]},
])  # fmt: skip
def test_a_demonstrated_talk_is_trained_from_its_first_answer_on(tmp_path, line):
    path = write_lines(tmp_path / "talks.jsonl", [line])
    (row,) = read_data(path, "demonstrations").rows
    assert (row.prompt, row.completions["completion"]) == (TALK[:1], TALK[1:])
    (row,) = read_data(path, "demonstrations", ReadOptions(last_turn=True)).rows
    assert (row.prompt, row.completions["completion"]) == (TALK[:3], TALK[3:])


def test_only_a_demonstrated_talk_is_divided_at_its_first_answer(tmp_path):
    labelled = {"messages": TALK, "label": True}
    assert rows_of(tmp_path, labelled, data="binary")[0].prompt == TALK[:3]
    divided = {"prompt": TALK[:3], "completion": TALK[3:]}
    assert rows_of(tmp_path, divided, data="demonstrations")[0].prompt == TALK[:3]


def test_a_greeting_is_read_and_a_talk_without_a_user_is_trained(tmp_path):
    greeted = [*assistant("hello"), *TALK]
    system = {"role": "system", "content": "s"}
    lines = [{"messages": greeted}, {"messages": [system, *assistant("d")]}]
    first, second = rows_of(tmp_path, *lines, data="demonstrations")
    assert (first.prompt, first.completions["completion"]) == (greeted[:2], TALK[1:])
    assert (second.prompt, second.completions["completion"]) == ([system], assistant("d"))


def called(**call):
    return [{**assistant("")[0], "tool_calls": [call]}]


FUNCTION = {"name": "f", "arguments": {}}
ODD = [
    (called(**FUNCTION), "prompt[1].tool_calls[0]", "must have a 'function'"),
    (called(function=None), "prompt[1].tool_calls[0]", "must have a 'function'"),
    (called(function={**FUNCTION, "arguments": None}), "prompt[1].tool_calls[0]", "arguments"),
    (called(function={**FUNCTION, "name": "\ud800"}), "prompt[1]", "surrogate"),
    (called(function={**FUNCTION, "arguments": {"a": "\ud800"}}), "prompt[1]", "surrogate"),
    ([{**assistant("a")[0], "tool_calls": "f()"}], "prompt[1].tool_calls", "list of calls"),
    ([{**assistant("a")[0], "name": "\ud800"}], "prompt[1]", "surrogate"),
    ([{"role": "\ud800", "content": "a"}], "prompt[1]", "surrogate"),
    ([{"role": "human", "content": "a"}], "prompt[1]", "unknown role 'human'; known are system"),
    ([{"role": "user", "content": [{"type": "text"}]}], "prompt[1]", "has no text"),
    ([{"role": "user", "content": [{"type": "text", "text": None}]}], "prompt[1]", "has no text"),
    ([{"from": ["x"], "value": "a"}], "prompt[1]", "unknown speaker"),
]


@pytest.mark.parametrize(("turns", "field", "words"), ODD)
def test_an_odd_message_is_a_bad_row_that_names_its_field(tmp_path, turns, field, words):
    odd = {"prompt": [*user("p"), *turns, *user("q")]}
    good = {"prompt": user("p")}
    path = write_lines(tmp_path / "rows.jsonl", [good, odd, {"prompt": user("r")}])
    rows, report = read_data(path, "prompts", ReadOptions(skip_bad=True))
    assert len(rows) == 2
    (problem,) = report.problems
    assert (problem.row, problem.field) == (2, field)
    assert words in problem.reason
    with pytest.raises(DataError, match=r"rows\.jsonl, row 2: field 'prompt"):
        read_data(path, "prompts")


ALPACA = {"instruction": "i", "output": "o"}


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ({**ALPACA, "history": ["a"]}, "history[0]", "question and its answer"),
        ({**ALPACA, "history": [{"q": "a", "a": "b"}]}, "history[0]", "question and its answer"),
        ({**ALPACA, "history": 3}, "", "cannot be read as training data (TypeError"),
        ({"prompt": "p", "completion": "c", "id": "\ud800"}, "id", "surrogate"),
        ({"\ud800": "p"}, "", r"it has \ud800"),
        (f'{{"prompt": "p", "completion": "c", "n": {"1" * 5000}}}', "", "number too long"),
        (f'{{"prompt": "p", "n": {"[" * 100_000}{"]" * 100_000}}}', "", "objects too deep"),
    ],
)
def test_an_odd_row_is_told_and_the_others_are_kept(tmp_path, line, field, words):
    path = write_lines(tmp_path / "rows.jsonl", [ALPACA, line])
    if isinstance(line, str):
        path.write_text(json.dumps(ALPACA) + "\n" + line + "\n")
    rows, report = read_data(path, "demonstrations", ReadOptions(skip_bad=True))
    assert [row.id for row in rows] == ["rows-1"]
    (problem,) = report.problems
    assert (problem.row, problem.field) == (2, field)
    assert words in problem.reason
    str(problem).encode()


def test_a_score_may_be_too_large(tmp_path):
    with pytest.raises(DataError, match="'scores' must hold 2 numbers"):
        rows_of(
            tmp_path, {"prompt": "p", "completions": ["a", "b"], "scores": [1, 10**400]},
            data="lists",
        )  # fmt: skip
