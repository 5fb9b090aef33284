"""What others write, as our rows. Numbers are of the complaints in objectives.md, section 4."""

import pytest

from tests.training.alignment.tiny import assistant, user, write_lines
from training.alignment.data import DataError, ReadOptions, read_data

SHARED = [*user("Hi"), *assistant("Hello!"), *user("2+2?")]
SYSTEM = [{"role": "system", "content": "Be brief."}]


def read(tmp_path, line, data, options=None):
    path = write_lines(tmp_path / "rows.jsonl", [line])
    (row,), report = read_data(path, data, options)
    (name,) = report.shapes
    return row, name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ({"chosen": [*SHARED, *assistant("4")], "rejected": [*SHARED, *assistant("5")]}, "inside"),
        (
            {"prompt": SHARED, "chosen": assistant("4"), "rejected": assistant("5")},
            "pairs",
        ),
        (
            {
                "prompt": SHARED,
                "chosen": [*SHARED, *assistant("4")],
                "rejected": [*SHARED, *assistant("5")],
            },
            "pairs",
        ),
        (
            {
                "prompt": user("Hi"),
                "chosen": [*SHARED[1:], *assistant("4")],
                "rejected": [*SHARED[1:], *assistant("5")],
            },
            "pairs",
        ),
        (
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: 2+2?\n\nAssistant: 4",
                "rejected": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: 2+2?\n\nAssistant: 5",
            },
            "pairs of HH transcripts",
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Hello!"},
                    {"from": "human", "value": "2+2?"},
                ],
                "chosen": {"from": "gpt", "value": "4"},
                "rejected": {"from": "gpt", "value": "5"},
            },
            "ShareGPT preferences",
        ),
        (
            {
                "input": {"messages": SHARED, "tools": []},
                "preferred_output": assistant("4"),
                "non_preferred_output": assistant("5"),
            },
            "OpenAI preferences",
        ),
        (
            {
                "instruction": "2+2?",
                "input": "",
                "history": [["Hi", "Hello!"]],
                "chosen": "4",
                "rejected": "5",
            },
            "Alpaca preferences",
        ),
    ],
)
def test_17_shared_turns_belong_to_the_prompt_of_a_pair(tmp_path, line, name):
    row, shape = read(tmp_path, line, "pairs")
    assert row.prompt == SHARED
    assert row.completions == {"chosen": assistant("4"), "rejected": assistant("5")}
    assert name in shape


def test_17_a_plain_prompt_is_known_again_in_the_answers(tmp_path):
    """As in ultrafeedback_binarized: a text as prompt, and whole talks as chosen and rejected."""
    line = {
        "prompt": "2+2?",
        "chosen": [*user("2+2?"), *assistant("4")],
        "rejected": [*user("2+2?"), *assistant("5")],
        "messages": [*user("2+2?"), *assistant("4")],
        "score_chosen": 8.0,
        "score_rejected": 3.0,
    }
    row, _ = read(tmp_path, line, "pairs")
    assert row.prompt == user("2+2?")
    assert row.completions == {"chosen": assistant("4"), "rejected": assistant("5")}


def test_17_equal_talks_keep_an_answer_each(tmp_path):
    talk = [*SHARED, *assistant("4")]
    row, _ = read(tmp_path, {"chosen": talk, "rejected": talk}, "pairs")
    assert row.prompt == SHARED
    assert row.completions == {"chosen": assistant("4"), "rejected": assistant("4")}


def test_17_talks_that_part_early_keep_all_that_they_do_not_share(tmp_path):
    longer = [*assistant("Yes?"), *user("2+2?"), *assistant("4")]
    line = {"chosen": [*user("Hi"), *longer], "rejected": [*user("Hi"), *assistant("No.")]}
    row, _ = read(tmp_path, line, "pairs")
    assert row.prompt == user("Hi")
    assert row.completions == {"chosen": longer, "rejected": assistant("No.")}


@pytest.mark.parametrize(
    ("line", "name", "prompt"),
    [
        ({"messages": [*SHARED, *assistant("4")]}, "messages", SHARED),
        ({"messages": [*SYSTEM, *SHARED, *assistant("4")]}, "messages", [*SYSTEM, *SHARED]),
        (
            {
                "system": "Be brief.",
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "4"},
                ],
            },
            "ShareGPT",
            [*SYSTEM, *user("Hi")],
        ),
        ({"instruction": "Add.", "input": "2+2", "output": "4"}, "Alpaca", user("Add.\n\n2+2")),
        ({"instruction": "2+2?", "input": "", "output": "4"}, "Alpaca", user("2+2?")),
        ({"prompt": SHARED, "completion": assistant("4")}, "demonstrations", SHARED),
        (
            {"prompt": SHARED, "completion": [*SHARED, *assistant("4")]},
            "demonstrations",
            SHARED,
        ),
        (
            {"messages": {"role": ["user", "assistant"], "content": ["Hi", "4"]}},
            "messages",
            user("Hi"),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                          *assistant("4")]},
            "messages",
            user("Hi"),
        ),
    ],
)  # fmt: skip
def test_of_a_talk_only_the_last_answer_is_trained_when_asked(tmp_path, line, name, prompt):
    row, shape = read(tmp_path, line, "demonstrations", ReadOptions(last_turn=True))
    assert (row.prompt, row.completions) == (prompt, {"completion": assistant("4")})
    assert shape == name


def test_a_talk_with_a_label_is_binary(tmp_path):
    line = {"messages": [*SHARED, *assistant("4")], "label": True}
    row, _ = read(tmp_path, line, "binary")
    assert (row.prompt, row.target) == (SHARED, 1.0)


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ({"prompt": SHARED}, SHARED),
        ({"messages": SHARED}, SHARED),
        ({"conversations": [{"from": "human", "value": "Hi"}]}, user("Hi")),
        ({"instruction": "Hi"}, user("Hi")),
    ],
)
def test_prompts_alone(tmp_path, line, prompt):
    assert read(tmp_path, line, "prompts")[0].prompt == prompt


def test_ultrafeedback_lists_carry_their_scores(tmp_path):
    line = {
        "instruction": "2+2?",
        "models": ["a", "b"],
        "completions": [
            {"model": "a", "response": "5", "overall_score": 2.0},
            {"model": "b", "response": "4", "overall_score": 9.5},
        ],
    }
    row, name = read(tmp_path, line, "lists")
    assert name == "lists of judged answers"
    assert (row.prompt, row.ranks, row.scores) == (user("2+2?"), (2, 1), (2.0, 9.5))
    assert row.completions == {"completion_0": assistant("5"), "completion_1": assistant("4")}


def test_nectar_lists_carry_their_ranks(tmp_path):
    line = {
        "prompt": "\n\nHuman: 2+2?\n\nAssistant: ",
        "answers": [{"answer": "5", "rank": 2.0}, {"answer": "4", "rank": 1.0}],
    }
    row, _ = read(tmp_path, line, "lists")
    assert (row.prompt, row.ranks) == (user("2+2?"), (2, 1))


@pytest.mark.parametrize("field", ["answers", "responses"])
def test_answers_that_nothing_ranks_are_facts_of_a_prompt(tmp_path, field):
    row, name = read(tmp_path, {"prompt": "2+2?", field: ["4", "four"]}, "prompts")
    assert (name, row.facts) == ("prompts", {field: ["4", "four"]})


@pytest.mark.parametrize("field", ["completions", "answers", "responses"])
@pytest.mark.parametrize("prompt", ["prompt", "question"])
def test_lists_by_other_names(tmp_path, field, prompt):
    line = {prompt: "2+2?", field: ["5", "4"], "ranks": [2, 1]}
    row, _ = read(tmp_path, line, "lists")
    assert (row.prompt, row.ranks) == ("2+2?", (2, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"chosen": "a b", "rejected": "a c"}, "add the field 'prompt'"),
        ({"chosen": assistant("a"), "rejected": assistant("b")}, "add the field 'prompt'"),
        ({"prompt": "p", "chosen": "a"}, "add the field 'rejected'"),
        ({"prompt": "p", "rejected": "a"}, "add the field 'chosen'"),
        ({"completion": "a"}, "add the field 'prompt'"),
        ({"prompt": "p", "completions": ["a", "b"]}, "add the field 'ranks' or 'scores'"),
        ({"completions": ["a", "b"], "ranks": [1, 2]}, "add the field 'prompt'"),
        ({"preferred_output": assistant("a")}, "add the field 'input'"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "completion": "c"}, "leave out those"),
        ({"text": "all in one"}, "it has text"),
        ({"messages": [{"from": "alien", "value": "x"}]}, "unknown speaker 'alien'"),
        ({"messages": [{"role": "user"}]}, "'messages[0]' must be a message"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "other than text"),
        ({"messages": "x"}, "'messages' must be"),
        ({"messages": assistant("x")}, "must hold a prompt before the answer"),
        (
            {"chosen": [*user("a"), *user("b")], "rejected": [*user("a"), *assistant("b")]},
            "part at turn 2",
        ),
    ],
)
def test_an_unclear_row_says_what_is_missing(tmp_path, line, message):
    path = write_lines(tmp_path / "rows.jsonl", [line])
    data = "demonstrations" if "messages" in line else "pairs"
    with pytest.raises(DataError, match=r"rows\.jsonl, row 1: ") as caught:
        read_data(path, data)
    assert message in str(caught.value)
