from itertools import chain

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.batches import collate
from training.alignment.log_probs import CompletionScorer
from training.alignment.models import add_lora
from training.alignment.rollouts.protocol import Prompt, RolloutSource
from training.alignment.rollouts.transformers import TransformersSource
from training.alignment.tokenization import TokenSequence, encode_prompt

TOKENIZER = tiny.byte_tokenizer()
CPU = torch.device("cpu")


def prompts(*texts):
    return [
        Prompt(text, encode_prompt(tiny.user(text), TOKENIZER), tiny.user(text), {"answer": text})
        for text in texts
    ]


def sample(source, asked, **overrides):
    wanted = {"per_prompt": 3, "seed": 7, "max_new_tokens": 24, "temperature": 1.0, **overrides}
    return source.sample(asked, **wanted)


def scored(model, rollout, dtype=torch.float32):
    scorer = CompletionScorer(model, dtype)
    with torch.no_grad():
        batch = collate([TokenSequence(rollout.prompt, rollout.completion)], CPU)
        return scorer(*batch).numpy()


def test_log_probs_are_the_trainers_in_float32():
    model = tiny.llama()
    source = TransformersSource(model, TOKENIZER, rows=4)
    assert isinstance(source, RolloutSource)
    for rollout in chain(*sample(source, prompts("a", "b?", "c" * 40))):
        np.testing.assert_allclose(rollout.log_probs, scored(model, rollout), atol=1e-4)


def test_a_rollout_says_what_it_was_asked():
    groups = sample(TransformersSource(tiny.llama(), TOKENIZER), prompts("a", "b"))
    assert [[rollout.group for rollout in group] for group in groups] == [[0] * 3, [1] * 3]
    first = groups[1][0]
    assert first.prompt_text == tiny.user("b")
    assert first.facts == {"answer": "b"}
    assert len(first.log_probs) == len(first.completion)
    assert first.log_probs.dtype == np.float32
    text = TOKENIZER.decode([int(token) for token in first.completion], skip_special_tokens=True)
    assert first.text == text


def test_a_sample_depends_on_seed_prompt_and_number_only():
    source = TransformersSource(tiny.llama(), TOKENIZER, rows=3)
    together = sample(source, prompts("a", "b", "c"))
    (alone,) = sample(source, prompts("b"), per_prompt=2)
    (other,) = sample(source, prompts("b"), seed=8)
    written = [list(rollout.completion) for rollout in together[1]]
    assert written[:2] == [list(rollout.completion) for rollout in alone]
    assert len({tuple(tokens) for tokens in written}) == 3
    assert written != [list(rollout.completion) for rollout in other]


def test_bfloat16_log_probs_are_near_the_trainers():
    model = tiny.llama()
    source = TransformersSource(model, TOKENIZER, dtype=torch.bfloat16)
    for rollout in chain(*sample(source, prompts("a", "b?"))):
        trainer = scored(model, rollout, torch.bfloat16)
        np.testing.assert_allclose(rollout.log_probs, trainer, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_update_samples_from_the_new_weights(dtype):
    model = tiny.llama()
    source = TransformersSource(model, TOKENIZER, dtype=dtype)
    before = sample(source, prompts("a"))
    changed = tiny.llama(seed=5)
    source.update(changed)
    after = sample(source, prompts("a"))
    fresh = sample(TransformersSource(changed, TOKENIZER, dtype=dtype), prompts("a"))
    tokens = [[list(rollout.completion) for rollout in groups[0]] for groups in (before, after)]
    assert tokens[0] != tokens[1] == [list(rollout.completion) for rollout in fresh[0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_is_sampled_with(dtype):
    model = add_lora(tiny.llama(), rank=4, alpha=8.0, dropout=0.5).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    source = TransformersSource(model, TOKENIZER, dtype=dtype)
    rollouts = sample(source, prompts("a", "bc"))[1]
    assert model.training
    model.eval()
    atol = 1e-4 if dtype is torch.float32 else 0.1
    for rollout in rollouts:
        np.testing.assert_allclose(rollout.log_probs, scored(model, rollout, dtype), atol=atol)


def test_the_policy_is_left_as_it_was():
    model = tiny.llama().train()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    source = TransformersSource(model, TOKENIZER, dtype=torch.bfloat16)
    sample(source, prompts("a"))
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, kept[name])


def test_a_policy_with_packed_attention_is_sampled_as_any_other():
    from training.alignment.attention import use_packed_attention

    model = tiny.llama()
    plain = sample(TransformersSource(model, TOKENIZER), prompts("a", "b?"))
    assert use_packed_attention(model)
    packed = sample(TransformersSource(model, TOKENIZER), prompts("a", "b?"))
    for before, after in zip(chain(*plain), chain(*packed), strict=True):
        assert list(before.completion) == list(after.completion)
        np.testing.assert_allclose(before.log_probs, after.log_probs, atol=1e-5)
