from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.tokenization import encode_prompt

TOKENIZER = tiny.byte_tokenizer()


def ask(client, content="why?", **options):
    values = {"model": "tiny", "messages": tiny.user(content), "max_tokens": 12, **options}
    return client.chat.completions.create(**values)


def greedy(content, length):
    model = tiny.llama()
    ids = encode_prompt(tiny.user(content), TOKENIZER).tolist()
    written = []
    for _ in range(length):
        with torch.no_grad():
            log_probs = model(torch.tensor([ids + [t for t, _ in written]])).logits[0, -1]
        token = int(log_probs.argmax())
        written.append((token, log_probs.log_softmax(0)))
        if token == TOKENIZER.eos_token_id:
            break
    return written


def test_temperature_0_writes_the_likeliest_tokens(client):
    reply = ask(client, temperature=0)
    expected = [token for token, _ in greedy("why?", 12)]
    assert reply.choices[0].message.content == TOKENIZER.decode(expected, skip_special_tokens=True)
    assert reply.choices[0].message.role == "assistant"
    assert (reply.model, reply.object) == ("tiny", "chat.completion")


def test_usage_counts_the_prompt_once_and_all_samples(client):
    reply = ask(client, n=3, seed=1)
    assert reply.usage.prompt_tokens == len(encode_prompt(tiny.user("why?"), TOKENIZER))
    lengths = [len(ask_ids(client, n=3, seed=1)[index]) for index in range(3)]
    assert reply.usage.completion_tokens == sum(lengths)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + sum(lengths)


def ask_ids(client, **options):
    reply = ask(client, extra_body={"return_token_ids": True}, **options)
    return [choice.token_ids for choice in reply.choices]


def test_a_seed_decides_all_samples(client):
    first, again, other = (
        [choice.message.content for choice in ask(client, n=3, seed=seed).choices]
        for seed in (5, 5, 6)
    )
    assert first == again != other
    assert len(set(first)) == 3
    free = {ask(client).choices[0].message.content for _ in range(3)}
    assert len(free) == 3


def test_log_probs_are_the_models_own_whatever_the_temperature(client):
    reply = ask(client, temperature=0, logprobs=True, top_logprobs=4)
    content = reply.choices[0].logprobs.content
    expected = greedy("why?", 12)
    assert len(content) == len(expected)
    for entry, (token, log_probs) in zip(content, expected, strict=True):
        assert entry.token == TOKENIZER.decode([token])
        np.testing.assert_allclose(entry.logprob, log_probs[token], atol=1e-4)
        values = log_probs.topk(4).values
        np.testing.assert_allclose([e.logprob for e in entry.top_logprobs], values, atol=1e-4)
    hot = ask(client, temperature=3.0, seed=1, logprobs=True, extra_body={"return_token_ids": True})
    first = hot.choices[0].logprobs.content[0].logprob
    own = greedy("why?", 1)[0][1][hot.choices[0].token_ids[0]]
    np.testing.assert_allclose(first, own, atol=1e-4)


def test_processed_log_probs_are_those_sampled_with(client):
    extra = {"logprobs_mode": "processed_logprobs", "return_token_ids": True}
    reply = ask(client, temperature=2.0, seed=3, logprobs=True, extra_body=extra)
    choice = reply.choices[0]
    model = tiny.llama()
    ids = encode_prompt(tiny.user("why?"), TOKENIZER).tolist()
    logits = model(torch.tensor([ids + choice.token_ids])).logits[0, len(ids) - 1 : -1].detach()
    expected = (logits / 2.0).log_softmax(1)[range(len(choice.token_ids)), choice.token_ids]
    given = [entry.logprob for entry in choice.logprobs.content]
    np.testing.assert_allclose(given, expected.numpy(), atol=1e-4)


def test_an_answer_is_one_of_the_choices(client):
    options = {"n": 30, "seed": 2, "max_tokens": 20}
    for extra in ({"guided_choice": ["A", "B"]}, {"structured_outputs": {"choice": ["A", "B"]}}):
        reply = ask(client, **options, extra_body=extra)
        assert {choice.message.content for choice in reply.choices} == {"A", "B"}
        assert {choice.finish_reason for choice in reply.choices} == {"stop"}


def test_a_stop_ends_the_answer_before_it(client):
    whole = ask(client, seed=4, max_tokens=40).choices[0].message.content
    place = next(i for i in range(3, 30) if whole.find(whole[i : i + 2]) == i and whole.isascii)
    stopped = ask(client, seed=4, max_tokens=40, stop=whole[place : place + 2], logprobs=True)
    assert stopped.choices[0].message.content == whole[:place]
    assert stopped.choices[0].finish_reason == "stop"
    assert len(stopped.choices[0].logprobs.content) <= stopped.usage.completion_tokens


def test_an_answer_that_is_cut_says_so(client):
    long = [ask(client, seed=seed, max_tokens=2).choices[0] for seed in range(4)]
    assert "length" in {choice.finish_reason for choice in long}


def test_calls_that_run_together_are_answered_as_if_alone(client):
    alone = [ask(client, f"q{n}", seed=n, max_tokens=5 + n).choices[0] for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        together = list(
            pool.map(lambda n: ask(client, f"q{n}", seed=n, max_tokens=5 + n).choices[0], range(12))
        )
    assert [c.message.content for c in together] == [c.message.content for c in alone]


def test_text_parts_are_joined(client):
    parts = [{"type": "text", "text": "wh"}, {"type": "text", "text": "y?"}]
    joined = ask(client, parts, seed=1)
    assert joined.choices[0].message.content == ask(client, seed=1).choices[0].message.content


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 300}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 300}]}, "messages"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 3}, "logprobs"),
        ({"extra_body": {"guided_choice": []}}, "guided_choice"),
        ({"extra_body": {"guided_choice": ["a", ""]}}, "guided_choice"),
        ({"extra_body": {"structured_outputs": {"regex": "a+"}}}, "structured_outputs"),
        ({"extra_body": {"logprobs_mode": "raw_logits"}}, "logprobs_mode"),
        ({"extra_body": {"guided_regex": "a+"}}, "guided_regex"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stream": True}, "stream"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, options, param):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, **options)
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert param.partition("[")[0] in raised.value.message


def test_what_asks_for_nothing_is_accepted(client):
    neutral = {"presence_penalty": 0, "frequency_penalty": 0.0, "stream": False, "user": "u"}
    assert ask(client, seed=1, response_format={"type": "text"}, **neutral).choices


def test_the_context_limit_has_openais_code(client):
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "x" * 300)
    assert raised.value.code == "context_length_exceeded"


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, model="gpt-4")
    assert raised.value.code == "model_not_found"
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"


def test_only_the_bearer_of_the_token_is_answered(server):
    for wrong in ("guess", "sesame2"):
        with server.client(api_key=wrong) as stranger, pytest.raises(openai.AuthenticationError):
            ask(stranger)
