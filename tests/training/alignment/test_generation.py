import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.generation import SeededSampler, generate, response_seed
from training.alignment.tokenization import encode_prompt


@pytest.fixture(scope="module")
def model():
    return tiny.llama()


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.byte_tokenizer()


def prompts(tokenizer, *texts):
    return [encode_prompt(text, tokenizer) for text in texts]


def test_a_response_depends_on_its_own_seed_only(model, tokenizer):
    together = generate(
        model, tokenizer, prompts(tokenizer, "a", "a longer one"), [1, 2], max_new_tokens=8
    )
    alone = generate(model, tokenizer, prompts(tokenizer, "a longer one"), [2], max_new_tokens=8)
    other = generate(model, tokenizer, prompts(tokenizer, "a longer one"), [3], max_new_tokens=8)
    assert list(together[1].tokens) == list(alone[0].tokens) != list(other[0].tokens)


def test_temperature_0_is_greedy(model, tokenizer):
    (response,) = generate(
        model, tokenizer, prompts(tokenizer, "ab"), [1], max_new_tokens=4, temperature=0.0
    )
    ids = [int(token) for token in encode_prompt("ab", tokenizer)]
    for token in response.tokens:
        assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(int(token))


def test_samples_follow_the_softmax():
    scores = torch.tensor([0.0, 1.0, 2.0, -float("inf")])
    rows = scores.repeat(20_000, 1)
    drawn = SeededSampler(range(len(rows)), rows.device)(rows, rows.clone()).argmax(1)
    shares = np.bincount(drawn.numpy(), minlength=4) / len(rows)
    np.testing.assert_allclose(shares, scores.softmax(0).numpy(), atol=0.015)


def test_a_response_ends_with_the_end_token_or_at_the_limit(model, tokenizer):
    ending = tiny.llama()
    with torch.no_grad():
        ending.lm_head.weight = torch.nn.Parameter(torch.zeros(259, 32))
        end = tokenizer.eos_token_id
        ending.lm_head.weight[end] = 0.0
    # All tokens are equally likely: of many responses some end early, and some do not.
    responses = generate(
        ending, tokenizer, prompts(tokenizer, *["x"] * 64), list(range(64)), max_new_tokens=60
    )
    for response in responses:
        ended = response.tokens[-1] == end
        assert response.finish_reason == ("stop" if ended else "length")
        assert ended or len(response.tokens) == 60
        assert end not in response.tokens[:-1]
        assert "<|im_end|>" not in response.text
    assert {response.finish_reason for response in responses} == {"stop", "length"}


def test_a_small_top_p_leaves_the_likeliest(model, tokenizer):
    arguments = (model, tokenizer, prompts(tokenizer, "ab"), [5])
    narrow = generate(*arguments, max_new_tokens=6, top_p=0.01)
    greedy = generate(*arguments, max_new_tokens=6, temperature=0.0)
    assert list(narrow[0].tokens) == list(greedy[0].tokens)


def test_seeds_are_different_and_stable():
    seeds = {response_seed(0, f"p{number}", k) for number in range(100) for k in range(3)}
    assert len(seeds) == 300
    assert response_seed(0, "p1", 0) == response_seed(0, "p1", 0) != response_seed(1, "p1", 0)
