from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.training.alignment.tiny import CHATML, assistant, byte_tokenizer, user
from training.alignment.batches import collate
from training.alignment.data import DataError, Row
from training.alignment.data_report import padding_share
from training.alignment.tokenization import (
    DataReport,
    Limits,
    TokenSequence,
    cut_prompt,
    encode_completion,
    encode_prompt,
    encode_prompts,
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
    words = "row 'r': the prompt begins with <s> twice, for the chat template writes both"
    rows = [pair(user("Hi"), assistant("a"), assistant("b"))] * 2
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=words):
            tokenize_rows(rows, tokenizer, ROOM, DataReport(), skip_bad=skip_bad)


def test_a_completion_may_not_begin_with_bos():
    with pytest.raises(DataError, match="as only a prompt may"):
        encode_completion("Hi", "<s>there", byte_tokenizer(bos=True))


def test_a_template_that_rewrites_the_prompt_is_refused():
    rewriting = "{{ messages | length }}" + CHATML
    with pytest.raises(DataError, match="boundary between them is unclear"):
        encode_completion(user("Hi"), assistant("a"), byte_tokenizer(template=rewriting))


# As Gemma's refuses a system's message.
STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + CHATML
)


def test_what_a_template_refuses_is_told_with_its_row():
    system = [{"role": "system", "content": "Be brief."}]
    rows = [
        pair(user("Hi"), assistant("a"), assistant("b"), "good"),
        pair([*system, *user("Hi")], assistant("a"), assistant("b"), "bad"),
    ]
    message = r"row 'bad': the chat template refuses .*System role not supported"
    with pytest.raises(DataError, match=message):
        tokenize_rows(rows, byte_tokenizer(template=STRICT), ROOM, DataReport())
    assert len(tokenize_rows(rows[:1], byte_tokenizer(template=STRICT), ROOM, DataReport())) == 1


def refused_rows():
    """One good row between three that cannot be written as tokens, and why not."""
    system = [{"role": "system", "content": "Be brief."}]
    answers = assistant("a"), assistant("b")
    rows = [
        pair([*system, *user("Hi")], *answers, "system"),
        pair("Hi", "<s>a", "b", "completion"),
        pair(user("Hi"), *answers, "good"),
        pair("<s>Hi", "a", "b", "prompt"),
    ]
    reasons = [
        "row 'system': the chat template refuses the messages (System role not supported)",
        "row 'completion': the completion begins with <s>, as only a prompt may",
        "row 'prompt': the prompt begins with <s> twice; remove it from the text",
    ]
    return rows, reasons


def test_all_refused_rows_are_told_at_once():
    rows, reasons = refused_rows()
    with pytest.raises(DataError) as caught:
        tokenize_rows(rows, byte_tokenizer(bos=True, template=STRICT), ROOM, DataReport())
    assert str(caught.value).splitlines() == reasons


def test_refused_rows_are_left_out_and_counted_when_asked():
    rows, reasons = refused_rows()
    tokenizer, report = byte_tokenizer(bos=True, template=STRICT), DataReport()
    examples = tokenize_rows(rows, tokenizer, ROOM, report, skip_bad=True)
    assert [example.id for example in examples] == ["good"]
    assert (report.rows, report.examples, report.refused) == (4, 1, 3)
    assert report.refusals == reasons
    assert report.dropped_ids == ["system", "completion", "prompt"]
    with pytest.raises(DataError, match=r"no example is left of 1 rows.* 1 refused:\nrow 'system'"):
        tokenize_rows(rows[:1], tokenizer, ROOM, DataReport(), skip_bad=True)


def test_prompts_alone_are_refused_and_left_out_alike():
    rows, reasons = refused_rows()
    rows = [Row(row.id, "", row.prompt, {}, 1.0, 1.0) for row in rows]
    tokenizer, report = byte_tokenizer(bos=True, template=STRICT), DataReport()
    with pytest.raises(DataError) as caught:
        encode_prompts(rows, tokenizer, DataReport())
    assert str(caught.value).splitlines() == [reasons[0], reasons[2]]
    found = encode_prompts(rows, tokenizer, report, skip_bad=True)
    assert [row.id for row, _ in found] == ["completion", "good"]
    assert np.array_equal(found[1][1], encode_prompt(user("Hi"), tokenizer))
    with pytest.raises(DataError, match="no prompt is left of 1 rows:\nrow 'system'"):
        encode_prompts(rows[:1], tokenizer, DataReport(), skip_bad=True)


def test_a_template_that_fails_on_a_row_names_it():
    """As those do that go through the arguments of a call, where they are a text."""
    failing = (
        "{% for message in messages %}{% for call in message.tool_calls or [] %}"
        "{% for name, value in call.function.arguments | items %}{% endfor %}"
        "{{ call.function.name }}{% endfor %}{% endfor %}" + CHATML
    )
    call = {"type": "function", "function": {"name": "weather", "arguments": "Bern"}}
    calling = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    rows = [pair(user("Hi"), assistant("a"), assistant("b"), "good"),
            pair(user("Hi"), calling, assistant("b"), "bad")]  # fmt: skip
    with pytest.raises(DataError, match=r"row 'bad': the chat template fails .*TypeError"):
        tokenize_rows(rows, byte_tokenizer(template=failing), ROOM, DataReport())


TOOLS = "{% for tool in tools or [] %}{{ tool.function.name }};{% endfor %}"


def with_tools(row, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return replace(row, id=" ".join(names) or "none", facts={"tools": tools})


def test_each_row_tells_the_template_of_its_own_tools():
    tokenizer, report = byte_tokenizer(template=TOOLS + CHATML), DataReport()
    row = pair(user("Hi"), [*assistant("a"), *user("c"), *assistant("d")], assistant("b"))
    rows = [with_tools(row, *names) for names in ((), ("add",), ("add", "sort"), ("add",))]
    examples = tokenize_rows(rows, tokenizer, ROOM, report)
    begun = [texts(tokenizer, one)["chosen"][0].partition("<|im_start|>")[0] for one in examples]
    assert begun == ["", "add;", "add;sort;", "add;"]
    assert len({len(one.sequences["chosen"].completion) for one in examples}) == 1
    assert report.tools_left_out == 0
    prompt = encode_prompt(row.prompt, tokenizer, rows[2].tools)
    assert np.array_equal(prompt, examples[2].sequences["rejected"].prompt)
    answer = encode_completion(row.prompt, assistant("b"), tokenizer, rows[2].tools)
    assert np.array_equal(answer, examples[2].sequences["rejected"].completion)


def test_tools_of_which_a_prompt_does_not_tell_are_counted():
    chat = pair(user("Hi"), assistant("a"), assistant("b"))
    rows = [with_tools(chat, "add"), with_tools(pair("Hi", "a", "b"), "add"), chat]
    report = DataReport()
    assert len(tokenize_rows(rows, byte_tokenizer(), ROOM, report)) == 3
    assert report.tools_left_out == 2


def test_messages_without_a_template_are_refused():
    tokenizer = byte_tokenizer(template=None)
    with pytest.raises(DataError, match="no chat template"):
        encode_prompt(user("Hi"), tokenizer)
    # Nor are they left out, for no row is to blame.
    rows = [pair("Hi", "a", "b"), pair(user("Hi"), assistant("a"), assistant("b"))]
    with pytest.raises(DataError, match="no chat template"):
        tokenize_rows(rows, tokenizer, ROOM, DataReport(), skip_bad=True)


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


ANSWERS = st.text(st.sampled_from("ab \n"), min_size=1, max_size=12)


@given(
    st.lists(st.tuples(st.text(st.sampled_from("xy "), max_size=12), ANSWERS, ANSWERS), min_size=1),
    st.integers(2, 14),
    st.integers(1, 13),
    st.sampled_from(["left", "right"]),
    st.booleans(),
)
def test_10_to_14_no_cut_empties_a_completion_or_parts_the_sides(
    rows, longest, prompt, side, drop_long
):
    """trl#1271, #2538, #4808; LlamaFactory#4402, #4617; verl#6441; SimPO#35."""
    pairs = [pair(text, good, bad, f"{number}") for number, (text, good, bad) in enumerate(rows)]
    limits, report = Limits(longest, prompt, side, drop_long), DataReport()
    try:
        examples = tokenize_rows(pairs, byte_tokenizer(), limits, report)
    except DataError:
        examples = []
    assert len(examples) + report.dropped_without_room + report.dropped_too_long == len(pairs)
    for example in examples:
        chosen, rejected = example.sequences["chosen"], example.sequences["rejected"]
        assert np.array_equal(chosen.prompt, rejected.prompt)
        for one in (chosen, rejected):
            assert 1 <= len(one.prompt) <= prompt
            assert len(one.completion) >= 1
            assert len(one) <= longest


def test_a_row_with_a_long_completion_may_be_dropped_whole():
    rows = [pair("0", "a", "b" * 20, "long"), pair("0", "a", "b", "short")]
    report = DataReport()
    limits = Limits(10, 5, drop_long=True)
    (example,) = tokenize_rows(rows, byte_tokenizer(), limits, report)
    assert example.id == "short"
    assert (report.dropped_too_long, report.dropped_ids) == (1, ["long"])
    assert (report.completions_truncated, report.rows, report.examples) == (0, 2, 1)


@pytest.mark.parametrize("prompt", ["Q: ", "Q:", "Q:\n", "Q: \n "])
def test_16_the_boundary_does_not_move_with_the_completion(prompt):
    """trl#2054, #1679: a tokenizer that would merge over the boundary never sees across it."""
    tokenizer = byte_tokenizer(template=None)
    rows = [pair(prompt, "a", " a"), pair(prompt, "\n", "Q: ")]
    sequences = [
        one
        for example in tokenize_rows(rows, tokenizer, ROOM, DataReport())
        for one in example.sequences.values()
    ]
    alone = encode_prompt(prompt, tokenizer)
    assert all(np.array_equal(one.prompt, alone) for one in sequences)
    texts = [tokenizer.decode(one.completion[:-1]) for one in sequences]
    assert texts == ["a", " a", "\n", "Q: "]


def spaced_tokenizer(*, bos=False):
    """Puts a space before every text, as Llama 2's does, and with `bos` a <s> before that."""
    alphabet = ["▁", *"abcQ:x\n"]
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    tokenizer.add_special_tokens(["</s>", "<s>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>" if bos else None
    )


@pytest.mark.parametrize("bos", [False, True])
def test_16_a_space_that_the_tokenizer_adds_is_no_part_of_an_answer(bos):
    tokenizer = spaced_tokenizer(bos=bos)
    ids = encode_completion("Q:\n", "ab", tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == ["a", "b", "</s>"]
    ids = encode_completion("Q:", " ab", tokenizer)
    assert tokenizer.convert_ids_to_tokens(ids) == ["▁", "a", "b", "</s>"]


def test_16_a_tokenizer_without_bos_or_padding_gives_whole_numbers():
    """trl#1073: a missing id became a None among the tokens."""
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = None
    (example,) = tokenize_rows([pair("", "a", "b")], tokenizer, ROOM, DataReport())
    for one in example.sequences.values():
        assert one.prompt.dtype == one.completion.dtype == np.int32
        assert one.completion[-1] == tokenizer.eos_token_id
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="names no end-of-sequence token"):
        tokenize_rows([pair("", "a", "b")], tokenizer, ROOM, DataReport())


def test_15_an_answer_gets_one_end_whether_or_not_it_has_one():
    tokenizer = byte_tokenizer()
    for text in ("a", "a<|im_end|>"):
        ids = list(encode_completion("Q", text, tokenizer))
        assert ids.count(tokenizer.eos_token_id) == 1


def test_earlier_answers_are_part_of_the_prompt():
    tokenizer = byte_tokenizer()
    talk = [*user("A"), *assistant("B"), *user("C")]
    (example,) = tokenize_rows([pair(talk, assistant("D"), assistant("E"))], tokenizer, ROOM,
                               DataReport())  # fmt: skip
    prompt, completion = texts(tokenizer, example)["chosen"]
    assert prompt.endswith("assistant\nB<|im_end|>\n<|im_start|>user\nC<|im_end|>\n"
                           "<|im_start|>assistant\n")  # fmt: skip
    assert completion == "D<|im_end|>"
    assert example.sequences["chosen"].context is None


def test_between_two_answers_only_the_models_own_turns_are_trained():
    tokenizer, report = byte_tokenizer(), DataReport()
    turns = [*assistant("A"), *user("B"), *assistant("C")]
    (example,) = tokenize_rows([pair(user("Hi"), turns, assistant("D"))], tokenizer, ROOM, report)
    one = example.sequences["chosen"]
    assert tokenizer.decode(one.completion[~one.context]) == "A<|im_end|>C<|im_end|>"
    between = "\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(one.completion[one.context]) == between
    assert one.trained_tokens == 4
    assert (report.completion_tokens, report.context_tokens) == (6, len(one.completion) - 4)
    mask = collate([one], torch.device("cpu")).completion_mask[0]
    assert mask.sum() == 4
    assert not mask[: len(one.prompt)].any()


def test_a_cut_may_leave_the_first_answer_alone():
    tokenizer = byte_tokenizer()
    turns = [*assistant("A"), *user("B"), *assistant("C")]
    room = len(encode_prompt(user("Hi"), tokenizer)) + 2
    (example,) = tokenize_rows([pair(user("Hi"), turns, assistant("D"))], tokenizer,
                               Limits(room, 100), DataReport())  # fmt: skip
    one = example.sequences["chosen"]
    assert (tokenizer.decode(one.completion), one.context) == ("A<|im_end|>", None)


def test_a_template_that_forgets_earlier_answers_is_refused():
    """As those do that drop the thoughts of all answers but the last."""
    forgetful = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% if message.role == 'user' or loop.last %}{{ message.content }}{% endif %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    turns = [*assistant("A"), *user("B"), *assistant("C")]
    with pytest.raises(DataError, match="cannot be told from the others"):
        encode_completion(user("Hi"), turns, byte_tokenizer(template=forgetful))


def test_a_template_that_opens_a_turn_otherwise_than_it_writes_one_is_counted():
    """As those do that open a turn with a thought and keep none in a finished one."""
    thinking = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    tokenizer, report = byte_tokenizer(template=thinking), DataReport()
    rows = [pair(user("Hi"), assistant("a"), assistant("<think>\nb"))]
    (example,) = tokenize_rows(rows, tokenizer, ROOM, report)
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert texts(tokenizer, example) == {
        "chosen": (prompt, "a<|im_end|>"),
        "rejected": (prompt, "<think>\nb<|im_end|>"),
    }
    assert report.unusual_prompts == 1
    assert tokenizer.decode(encode_prompt(user("Hi"), tokenizer)) == prompt + "<think>\n"


def test_lists_share_one_prompt_and_keep_their_order():
    completions = {f"completion_{place}": text for place, text in enumerate(["aaa", "b", "cc"])}
    row = Row("L", "g", "0123456789", completions, 1.0, 2.0, ranks=(2, 1, 2))
    report = DataReport()
    (example,) = tokenize_rows([row], byte_tokenizer(), Limits(8, 5), report)
    assert list(example.sequences) == ["completion_0", "completion_1", "completion_2"]
    assert {byte_tokenizer().decode(one.prompt) for one in example.sequences.values()} == {"56789"}
    assert (example.ranks, example.group, example.weight) == ((2, 1, 2), "g", 2.0)
    assert (report.prompts_truncated, report.completions_truncated) == (1, 1)


def test_a_prompt_alone_is_a_sequence_without_a_completion():
    row = Row("P", "P", user("Hi"), {}, 1.0, 1.0)
    (example,) = tokenize_rows([row], byte_tokenizer(), ROOM, DataReport())
    one = example.sequences["prompt"]
    assert np.array_equal(one.prompt, encode_prompt(user("Hi"), byte_tokenizer()))
    assert len(one.completion) == 0


def test_many_rows_at_once_are_what_each_is_alone():
    tokenizer = byte_tokenizer(bos=True)
    rows = [pair(f"q{n % 7}", f"a{n}", "b" * (n % 5 + 1), str(n)) for n in range(60)]
    rows += [pair(user(f"q{n}"), assistant(f"a{n}"), assistant("b"), f"c{n}") for n in range(60)]
    together = tokenize_rows(rows, tokenizer, ROOM, DataReport())
    for row, example in zip(rows, together, strict=True):
        (alone,) = tokenize_rows([row], tokenizer, ROOM, DataReport())
        assert example.id == row.id
        assert texts(tokenizer, example) == texts(tokenizer, alone)


def test_what_a_tokenizers_file_says_of_lengths_does_not_matter():
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert tokenizer.decode(encode_completion("Q", "abcdef", tokenizer)) == "abcdef<|im_end|>"


def test_the_report_tells_lengths_before_any_cut_and_the_padding_after():
    rows = [pair("0" * size, "a" * size, "b", str(size)) for size in range(1, 11)]
    report = DataReport()
    tokenize_rows(rows, byte_tokenizer(), Limits(9, 5), report)
    assert report.prompt_lengths is not None
    assert (report.prompt_lengths.p50, report.prompt_lengths.max) == (6, 10)
    assert (report.prompt_lengths.mean, report.prompt_lengths.p99) == (5.5, 10)
    assert report.completion_lengths is not None
    assert report.completion_lengths.max == 11
    assert report.longest_sequence == 9
    assert 0 < report.padding_share < 1


def test_padding_is_counted_batch_by_batch():
    assert padding_share([[4, 2], [6, 6], [3, 3]], batch=2) == pytest.approx(6 / 30)
    assert padding_share([[5, 5]]) == 0.0
    assert padding_share([]) == 0.0


def test_a_sequence_counts_the_tokens_that_it_trains():
    ids = np.arange(3, dtype=np.int32)
    assert TokenSequence(ids, ids).trained_tokens == 3
    assert TokenSequence(ids, ids, np.array([False, True, True])).trained_tokens == 1
