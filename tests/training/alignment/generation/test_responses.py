import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.generation import generate, generate_each, response_seed
from training.alignment.generation.plain import generate_plainly
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


def test_few_rows_at_a_time_write_the_same(model, tokenizer):
    texts = ["a", "bb", "a longer one", "d", "e" * 30]
    arguments = (model, tokenizer, prompts(tokenizer, *texts), range(5))
    wide = generate(*arguments, max_new_tokens=8)
    narrow = generate(*arguments, max_new_tokens=8, rows=2)
    assert [list(item.tokens) for item in wide] == [list(item.tokens) for item in narrow]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8), (0.0, 1.0)])
def test_the_engine_writes_what_transformers_writes(model, tokenizer, temperature, top_p):
    texts = prompts(tokenizer, "a", "a longer one", "zz")
    ours = generate(
        model, tokenizer, texts, [1, 2, 3], max_new_tokens=24, temperature=temperature, top_p=top_p
    )
    theirs = generate_plainly(model, tokenizer, texts, [1, 2, 3], 24, temperature, top_p)
    assert [(list(item.tokens), item.finish_reason) for item in ours] == [
        (list(tokens), reason) for tokens, reason in theirs
    ]


def test_a_model_with_a_sliding_window_is_sampled_by_transformers(tokenizer):
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    windowed = MistralForCausalLM(
        MistralConfig(
            vocab_size=259,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            sliding_window=4,
            initializer_range=0.1,
        )
    ).eval()
    (response,) = generate(
        windowed, tokenizer, prompts(tokenizer, "abcdef"), [1], max_new_tokens=8, temperature=0.0
    )
    ids = [int(token) for token in encode_prompt("abcdef", tokenizer)]
    for token in response.tokens:
        assert int(windowed(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(int(token))


def test_responses_come_as_they_are_done(model, tokenizer):
    asked = prompts(tokenizer, "a", "b", "a")
    each = generate_each(
        model, tokenizer, asked, [1, 2, 3], max_new_tokens=9, temperature=1.0, top_p=1.0, rows=2
    )
    found = dict(each)
    together = generate(model, tokenizer, asked, [1, 2, 3], max_new_tokens=9)
    assert [list(found[place].tokens) for place in range(3)] == [
        list(response.tokens) for response in together
    ]


def test_temperature_0_is_greedy(model, tokenizer):
    (response,) = generate(
        model, tokenizer, prompts(tokenizer, "ab"), [1], max_new_tokens=4, temperature=0.0
    )
    ids = [int(token) for token in encode_prompt("ab", tokenizer)]
    for token in response.tokens:
        assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(int(token))


def test_a_response_ends_with_the_end_token_or_at_the_limit(tokenizer):
    ending = tiny.llama()
    with torch.no_grad():
        ending.lm_head.weight = torch.nn.Parameter(torch.zeros(259, 32))
    end = tokenizer.eos_token_id
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
