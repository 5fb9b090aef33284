"""The packed path against the plain one: values, gradients, and what must not matter."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    GPT2Config,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.masking_utils import sdpa_mask

from tests.training.alignment import tiny
from training.alignment.attention import NAME, attend_at_once, attend_by_group, packed_attention
from training.alignment.batches import collate
from training.alignment.log_probs import CompletionScorer, sequence_log_probs
from training.alignment.models import add_lora
from training.alignment.packing import Group, pack
from training.alignment.reward_model import RewardScorer, load_reward_model
from training.alignment.scoring import packs, score_all, score_sequences, score_tokens
from training.alignment.tokenization import TokenSequence
from training.alignment.value_model import ValueScorer

CPU = torch.device("cpu")
SHAPES = [(5, (7, 4)), (1, (1,)), (9, (3, 12, 1)), (2, (6, 6))]


def tokens(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.integers(1, 259, count).astype(np.int32)


def groups(seed: int = 0) -> list[Group]:
    """Groups of one to three completions, a prompt and a completion of one token among them."""
    random = np.random.default_rng(seed)
    return [
        Group(tokens(random, prompt), [tokens(random, length) for length in lengths])
        for prompt, lengths in SHAPES
    ]


def sequences(given: list[Group]) -> list[TokenSequence]:
    return [TokenSequence(group.prompt, item) for group in given for item in group.completions]


def plain(scorer: CompletionScorer, items: list[TokenSequence]) -> torch.Tensor:
    """The oracle: padded, each sequence whole and alone in its line."""
    batch = collate(items, CPU)
    return sequence_log_probs(scorer(*batch), batch.completion_mask)


def gradients(scorer: CompletionScorer, values: torch.Tensor) -> dict[str, torch.Tensor]:
    scorer.zero_grad()
    weights = torch.linspace(-2.0, 3.0, len(values))
    (values * weights).sum().backward()
    named = scorer.named_parameters()
    return {name: value.grad.clone() for name, value in named if value.grad is not None}


def adapted() -> nn.Module:
    model = add_lora(tiny.llama(), rank=4, alpha=8.0, dropout=0.0)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model


def checkpointed() -> nn.Module:
    model = tiny.llama()
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model.train()


@pytest.mark.parametrize("make", [tiny.llama, adapted, checkpointed])
def test_values_and_gradients_are_the_plain_ones(make):
    scorer, items = CompletionScorer(make()), sequences(groups())
    assert packs(scorer)
    expected = plain(scorer, items)
    slopes = gradients(scorer, expected)
    found = score_sequences(scorer, items, CPU)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    for name, slope in gradients(scorer, found).items():
        torch.testing.assert_close(slope, slopes[name], rtol=1e-4, atol=1e-4)


def test_bfloat16_stays_close_to_float32():
    items = sequences(groups())
    exact = CompletionScorer(tiny.llama())
    low = CompletionScorer(tiny.llama(), torch.bfloat16)
    expected, found = score_sequences(exact, items, CPU), score_sequences(low, items, CPU)
    assert found.dtype is torch.float32
    # Half a per cent of a nat a token is bfloat16's rounding of hidden states.
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=5e-2)
    slopes, wanted = gradients(low, found), gradients(exact, expected)
    for name, slope in slopes.items():
        assert torch.cosine_similarity(slope.ravel(), wanted[name].ravel(), dim=0) > 0.999


def test_tokens_come_back_by_group_and_completion():
    scorer, given = CompletionScorer(tiny.llama()), groups()
    found = score_tokens(scorer, given, CPU)
    assert [tuple(map(len, group)) for group in found] == [lengths for _, lengths in SHAPES]
    sums = torch.stack([values.sum() for group in found for values in group])
    torch.testing.assert_close(sums, plain(scorer, sequences(given)), rtol=1e-5, atol=1e-4)
    scorer.packs = False
    for fast, slow in zip(found, score_tokens(scorer, given, CPU), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


def test_no_sequence_sees_another():
    scorer, given = CompletionScorer(tiny.llama()), groups()
    expected = score_sequences(scorer, sequences(given), CPU)
    others = groups(seed=1)
    for number, group in enumerate(given):
        mixed = [*others[:number], group, *others[number + 1 :]]
        found = score_tokens(scorer, mixed, CPU)[number]
        first = sum(len(lengths) for _, lengths in SHAPES[:number])
        for place, values in enumerate(found):
            torch.testing.assert_close(values.sum(), expected[first + place], rtol=1e-5, atol=1e-5)


def test_the_gradient_of_one_completion_reaches_its_own_tokens_only():
    scorer, given = CompletionScorer(tiny.llama()), groups()
    embedding = scorer.model.get_input_embeddings()
    seen = []
    embedding.register_forward_hook(
        lambda module, inputs, output: seen.append(output) or output.retain_grad()
    )
    found = score_tokens(scorer, given, CPU)
    found[0][1].sum().backward()
    rows = seen[-1].grad[0].abs().sum(1) > 0
    prompt, (first, second) = SHAPES[0]
    # A completion's last token is predicted, never looked at.
    own = [*range(prompt), *range(prompt + first, prompt + first + second - 1)]
    assert rows.nonzero()[:, 0].tolist() == own


def test_order_and_repetition_do_not_matter():
    scorer, items = CompletionScorer(tiny.llama()), sequences(groups())
    expected = score_sequences(scorer, items, CPU)
    order = [3, 0, 7, 7, 1, 6, 2, 5, 4, 0]
    found = score_sequences(scorer, [items[place] for place in order], CPU)
    torch.testing.assert_close(found, expected[order], rtol=1e-5, atol=1e-5)


def test_a_prompt_and_a_completion_meet_the_model_once():
    scorer = CompletionScorer(tiny.llama())
    seen = []
    scorer.model.get_input_embeddings().register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].numel())
    )
    items = sequences(groups())
    score_sequences(scorer, [*items, *items], CPU)
    assert seen == [sum(prompt + sum(lengths) for prompt, lengths in SHAPES)]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_many_are_scored_in_batches_and_in_shares(size):
    scorer, items = CompletionScorer(tiny.llama()), sequences(groups())
    whole = score_all(scorer, items, CPU, batch_size=size)
    torch.testing.assert_close(whole, plain(scorer, items), rtol=1e-5, atol=1e-4)
    shares = [score_all(scorer, items, CPU, batch_size=size, share=(i, 2)) for i in range(2)]
    torch.testing.assert_close(sum(shares), whole)
    assert not whole.requires_grad


@pytest.mark.parametrize("kind", [RewardScorer, ValueScorer])
def test_reward_and_value_models_pack_as_well(kind, model_folder):
    model = load_reward_model(model_folder, dtype=torch.float32, device=CPU)
    scorer, given = kind(model), groups()
    items = sequences(given)
    expected = scorer(*collate(items, CPU))
    slopes = gradients(scorer, expected)
    found = (
        score_sequences(scorer, items, CPU)
        if kind is RewardScorer
        else torch.cat([part for group in score_tokens(scorer, given, CPU) for part in group])
    )
    assert packs(scorer)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for name, slope in gradients(scorer, found).items():
        torch.testing.assert_close(slope, slopes[name], rtol=1e-4, atol=1e-4)


SMALL = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


@pytest.mark.parametrize(
    ("config", "is_packed"),
    [
        (Qwen2Config(**SMALL), True),
        (Qwen3Config(**SMALL, head_dim=16), True),
        (GPT2Config(vocab_size=259, n_embd=32, n_layer=2, n_head=2), True),
        (MistralConfig(**SMALL, sliding_window=8), False),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_other_models_pack_where_that_changes_nothing(config, is_packed):
    torch.manual_seed(0)
    scorer = CompletionScorer(AutoModelForCausalLM.from_config(config).eval())
    items = sequences(groups())
    assert packs(scorer) == is_packed
    found = score_sequences(scorer, items, CPU)
    torch.testing.assert_close(found, plain(scorer, items), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("make", [attend_at_once, attend_by_group])
def test_attention_of_either_device_is_each_sequences_own(make):
    """On a GPU the whole row goes through one kernel, on a CPU group by group."""
    packing = pack(groups(), CPU).packing
    torch.manual_seed(0)
    tokens, wide = packing.folded.numel(), 8
    shapes = [(1, heads, tokens, wide) for heads in (4, 2, 2)]
    row = [torch.randn(shape, requires_grad=True) for shape in shapes]
    attend = partial(scaled_dot_product_attention, enable_gqa=True)
    found = make(attend, *row, packing)
    assert found.shape == (1, tokens, 4, wide)
    ends = packing.lengths + torch.tensor([span.prompt for span in packing.spans
                                           for _ in span.completions])  # fmt: skip
    weights = torch.randn(tokens, 4, wide)
    slopes = torch.autograd.grad((found[0] * weights).sum(), row)
    total = torch.zeros(())
    seen = torch.zeros(tokens, dtype=torch.bool)
    for places, end in zip(packing.unfolded, ends, strict=True):
        alone = attend(*(part[:, :, places[:end]] for part in row), is_causal=True)[0]
        alone, here = alone.transpose(0, 1), places[:end]
        torch.testing.assert_close(found[0, here], alone, rtol=1e-5, atol=1e-5)
        total = total + (alone * weights[here])[~seen[here]].sum()
        seen[here] = True
    assert seen.all()
    for slope, expected in zip(slopes, torch.autograd.grad(total, row), strict=True):
        torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-5)


def test_a_token_that_sees_too_much_is_caught(monkeypatch):
    def ahead(*inputs, packing=None, **options):
        crossed = packing and packing._replace(masks=tuple(map(torch.zeros_like, packing.masks)))
        return packed_attention(*inputs, packing=crossed, **options)

    AttentionInterface.register("sees_too_much", ahead)
    AttentionMaskInterface.register("sees_too_much", sdpa_mask)
    monkeypatch.setattr("training.alignment.attention.NAME", "sees_too_much")
    assert not packs(CompletionScorer(tiny.llama()))


def test_a_packing_model_still_generates_as_it_did():
    plain_model, packing = tiny.llama(), tiny.llama()
    assert packs(CompletionScorer(packing))
    prompt = torch.tensor([[0, 5, 6, 7], [9, 10, 11, 12]])
    seen = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    found, expected = (
        model.generate(prompt, attention_mask=seen, max_new_tokens=6, do_sample=False)
        for model in (packing, plain_model)
    )
    assert torch.equal(found, expected)


def test_the_way_of_attending_is_not_saved_with_the_model(tmp_path):
    model = tiny.llama()
    assert packs(CompletionScorer(model))
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()
