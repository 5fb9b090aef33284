import pytest

from tests.training.alignment.tiny import CHATML, assistant, byte_tokenizer, user
from training.alignment.data import DataError, Row
from training.alignment.tokenization import (
    DataReport,
    Limits,
    cut_prompt,
    encode_completion,
    encode_prompt,
    tokenize_rows,
)

ROOM = Limits(max_length=200, max_prompt_length=100)


def pair(prompt, chosen, rejected, name="r"):
    return Row(name, name, prompt, {"chosen": chosen, "rejected": rejected}, 1.0, 1.0)


def texts(tokenizer, example):
    return {
        role: (tokenizer.decode(item.prompt), tokenizer.decode(item.completion))
        for role, item in example.sequences.items()
    }


def test_the_chat_template_decides_the_boundary_and_the_end_token_counts():
    tokenizer = byte_tokenizer()
    row = pair(user("Hi"), assistant("Yes"), assistant("No"))
    (example,) = tokenize_rows([row], tokenizer, ROOM, DataReport())
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert texts(tokenizer, example) == {
        "chosen": (prompt, "Yes<|im_end|>"),
        "rejected": (prompt, "No<|im_end|>"),
    }


def test_a_template_that_knows_no_tools_is_refused_where_tools_are_called():
    call = {"type": "function", "function": {"name": "weather", "arguments": {}}}
    calling = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    with pytest.raises(DataError, match="leaves tool calls out"):
        encode_completion(user("Rain?"), calling, byte_tokenizer())


def test_a_completion_of_several_turns_ends_with_its_last():
    tokenizer = byte_tokenizer()
    turns = [*assistant("A"), *user("B"), *assistant("C")]
    text = tokenizer.decode(encode_completion(user("Hi"), turns, tokenizer))
    assert text.startswith("A<|im_end|>")
    assert text.endswith("assistant\nC<|im_end|>")


def test_plain_texts_need_no_template_and_get_an_end():
    tokenizer = byte_tokenizer(template=None)
    (example,) = tokenize_rows([pair("Q: ", "a", "b")], tokenizer, ROOM, DataReport())
    assert texts(tokenizer, example)["chosen"] == ("Q: ", "a<|im_end|>")


def test_a_plain_text_that_names_the_end_token_is_not_cut_there():
    text = "write <|im_end|> to stop"
    tokenizer = byte_tokenizer()
    assert tokenizer.decode(encode_completion("Q", text, tokenizer)) == f"{text}<|im_end|>"
    assert tokenizer.decode(encode_completion("Q", "a<|im_end|>", tokenizer)) == "a<|im_end|>"


def test_an_empty_prompt_still_predicts_the_first_token():
    assert len(encode_prompt("", byte_tokenizer())) == 1


def test_a_leading_bos_comes_once():
    tokenizer = byte_tokenizer(bos=True)
    ids = encode_prompt("Hi", tokenizer)
    assert list(ids).count(tokenizer.bos_token_id) == 1
    with pytest.raises(DataError, match="begins with <s> twice"):
        encode_prompt("<s>Hi", tokenizer)


def test_a_template_that_doubles_the_bos_is_refused():
    tokenizer = byte_tokenizer(bos=True, template="<s><s>" + CHATML)
    with pytest.raises(DataError, match="row 'r': the prompt begins with <s> twice"):
        tokenize_rows(
            [pair(user("Hi"), assistant("a"), assistant("b"))], tokenizer, ROOM, DataReport()
        )


def test_a_completion_may_not_begin_with_bos():
    with pytest.raises(DataError, match="as only a prompt may"):
        encode_completion("Hi", "<s>there", byte_tokenizer(bos=True))


def test_a_template_that_rewrites_the_prompt_is_refused():
    rewriting = "{{ messages | length }}" + CHATML
    with pytest.raises(DataError, match="boundary between them is unclear"):
        encode_completion(user("Hi"), assistant("a"), byte_tokenizer(template=rewriting))


def test_messages_without_a_template_are_refused():
    with pytest.raises(DataError, match="no chat template"):
        encode_prompt(user("Hi"), byte_tokenizer(template=None))


def test_truncation_is_counted_and_alike_for_both_sides():
    tokenizer, report = byte_tokenizer(), DataReport()
    limits = Limits(max_length=12, max_prompt_length=6)
    (example,) = tokenize_rows([pair("0123456789", "abc", "abcdefghi")], tokenizer, limits, report)
    assert texts(tokenizer, example) == {
        "chosen": ("456789", "abc<|im_end|>"),
        "rejected": ("456789", "abcdef"),
    }
    assert (report.prompts_truncated, report.completions_truncated) == (1, 1)
    assert (report.rows, report.examples, report.dropped_without_room) == (1, 1, 0)


def test_an_example_without_room_for_a_completion_is_dropped_and_counted():
    report = DataReport()
    limits = Limits(max_length=5, max_prompt_length=5)
    rows = [pair("01234", "a", "b", "long"), pair("0", "a", "b", "short")]
    examples = tokenize_rows(rows, byte_tokenizer(), limits, report)
    assert [example.id for example in examples] == ["short"]
    assert (report.dropped_without_room, report.dropped_ids) == (1, ["long"])


def test_nothing_left_is_an_error_that_says_why():
    limits = Limits(max_length=5, max_prompt_length=5)
    with pytest.raises(DataError, match=r"no example is left of 1 rows.*1 without room"):
        tokenize_rows([pair("01234", "a", "b")], byte_tokenizer(), limits, DataReport())


def test_a_cut_keeps_the_chosen_side_and_the_bos():
    tokenizer = byte_tokenizer(bos=True)
    ids, bos = encode_prompt("0123456789", tokenizer), tokenizer.bos_token_id
    left = cut_prompt(ids, Limits(99, 4, "left"), bos)
    right = cut_prompt(ids, Limits(99, 4, "right"), bos)
    assert tokenizer.decode(left) == "<s>789"
    assert tokenizer.decode(right) == "<s>012"
