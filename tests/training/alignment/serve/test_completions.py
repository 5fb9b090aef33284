import numpy as np
import openai
import pytest

from tests.training.alignment import tiny
from training.alignment.generation import Engine, Request, response_seed
from training.alignment.tokenization import encode_prompt, end_tokens

TOKENIZER = tiny.byte_tokenizer()


def complete(client, prompt, **options):
    values = {"model": "tiny", "prompt": prompt, "max_tokens": 8, **options}
    return client.completions.create(**values)


def test_token_ids_and_their_text_are_one_prompt(client):
    ids = encode_prompt("once upon", TOKENIZER).tolist()
    by_text, by_ids = (complete(client, prompt, seed=3) for prompt in ("once upon", ids))
    assert by_text.choices[0].text == by_ids.choices[0].text
    assert by_text.usage.prompt_tokens == len(ids)


def test_several_prompts_are_answered_in_order(client):
    together = complete(client, ["ab", "cd"], n=2, temperature=0)
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    alone = [complete(client, prompt, temperature=0).choices[0].text for prompt in ("ab", "cd")]
    assert [choice.text for choice in together.choices] == [t for t in alone for _ in range(2)]


def test_tokens_and_log_probs_are_the_engines(client):
    ids = encode_prompt("once", TOKENIZER)
    extra = {"return_token_ids": True, "logprobs_mode": "processed_logprobs"}
    reply = complete(
        client, ids.tolist(), n=3, seed=9, temperature=0.8, logprobs=2, extra_body=extra
    )
    request = Request(ids, [response_seed(9, "0", number) for number in range(3)], 8, 0.8)
    (answers,) = Engine(tiny.llama(), end_tokens(TOKENIZER), rows=3).run([request])
    for choice, answer in zip(reply.choices, answers, strict=True):
        assert choice.token_ids == answer.tokens.tolist()
        assert len(choice.logprobs.tokens) == len(answer.tokens)
        np.testing.assert_allclose(choice.logprobs.token_logprobs, answer.log_probs, atol=1e-4)
        assert all(len(top) <= 2 for top in choice.logprobs.top_logprobs)


@pytest.mark.parametrize(
    "prompt", [[], [[]], [5000], [-1], [[1], ["a"]], {"a": 1}, 5, [1.5], [True], ["a"] * 200]
)
def test_what_is_no_prompt_is_refused(client, prompt):
    with pytest.raises(openai.BadRequestError) as raised:
        complete(client, prompt)
    assert raised.value.param == "prompt"
