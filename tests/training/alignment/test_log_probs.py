from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.alignment import tiny
from training.alignment import log_probs, projection
from training.alignment.log_probs import (
    CompletionScorer,
    UnsupportedModelError,
    check_projection,
    is_first_choice,
    project,
    sequence_log_probs,
)
from training.alignment.models import add_lora


def batch() -> tuple[Tensor, Tensor]:
    """Four sequences of different lengths, one with a single completion token."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 259, (4, 20), generator=generator)
    mask = torch.zeros(4, 20, dtype=torch.bool)
    for row, (start, end) in enumerate([(5, 20), (1, 4), (19, 20), (7, 12)]):
        mask[row, start:end] = True
        ids[row, end:] = 0
    return ids, mask


def naive(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """The whole [b, t, v] log-softmax in float64, with an attention mask."""
    ends = (mask * torch.arange(1, 21)).amax(1)
    attention = torch.arange(20) < ends[:, None]
    logits = model(input_ids=ids, attention_mask=attention.long()).logits
    scores = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_sums_equal_the_naive_computation_at_any_chunk(rows, monkeypatch):
    monkeypatch.setattr(projection, "ROWS_AT_ONCE", rows)
    model, (ids, mask) = tiny.llama().double(), batch()
    values = sequence_log_probs(CompletionScorer(model)(ids, mask), mask)
    torch.testing.assert_close(values.double(), naive(model, ids, mask), rtol=1e-5, atol=1e-4)


def test_gradients_equal_the_naive_computation():
    ids, mask = batch()
    ours, theirs = tiny.llama(), tiny.llama().double()
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (sequence_log_probs(CompletionScorer(ours)(ids, mask), mask) * weights).sum().backward()
    (naive(theirs, ids, mask) * weights).sum().backward()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad.double(), two.grad, rtol=1e-4, atol=1e-4)


def test_only_completion_rows_meet_the_vocabulary(monkeypatch):
    ids, mask = batch()
    shapes = []

    def spy(hidden: Tensor, *others: Any, **options: Any) -> Tensor:
        shapes.append(tuple(hidden.shape))
        return projection.target_log_probs(hidden, *others, **options)

    monkeypatch.setattr(log_probs, "target_log_probs", spy)
    CompletionScorer(tiny.llama())(ids, mask)
    assert shapes == [(int(mask.sum()), 32)]


def test_padding_tells_nothing():
    ids, mask = batch()
    other = ids.clone()
    other[1, 4:], other[3, 12:] = 77, 78
    scorer = CompletionScorer(tiny.llama())
    torch.testing.assert_close(scorer(ids, mask), scorer(other, mask))


def test_a_peft_model_scores_like_its_merged_self():
    ids, mask = batch()
    torch.manual_seed(0)
    model = add_lora(tiny.llama(), rank=4, alpha=8.0, dropout=0.0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    adapted = CompletionScorer(model)(ids, mask)
    assert not torch.allclose(adapted, CompletionScorer(tiny.llama())(ids, mask), atol=1e-2)
    merged = CompletionScorer(model.merge_and_unload())(ids, mask)
    torch.testing.assert_close(adapted, merged, rtol=1e-4, atol=1e-4)


def test_low_precision_compute_still_sums_in_float32():
    ids, mask = batch()
    model = tiny.llama()
    low = CompletionScorer(model, torch.bfloat16)(ids, mask)
    assert low.dtype is torch.float32
    torch.testing.assert_close(low, CompletionScorer(model)(ids, mask), rtol=0.05, atol=0.1)


def test_a_head_that_is_not_plain_is_called_whole():
    class Doubled(nn.Linear):
        def forward(self, hidden: Tensor) -> Tensor:
            return 2 * super().forward(hidden)

    head, hidden, targets = Doubled(8, 11), torch.randn(5, 8), torch.arange(5)
    expected = head(hidden).log_softmax(1)[torch.arange(5), targets]
    torch.testing.assert_close(project(hidden, head, targets), expected)


def test_logits_that_bfloat16_would_round_alike_are_told_apart():
    """1 and 1 + 2⁻⁹ are one number in bfloat16, and the lower id would always win."""
    head = nn.Linear(2, 3, bias=False).to(torch.bfloat16)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    hidden = torch.tensor([[1.0, 2.0**-9]] * 300, dtype=torch.bfloat16)
    rows = []
    head.register_forward_hook(lambda module, given, logits: rows.append(len(logits)))
    assert is_first_choice(hidden, head, torch.ones(300, dtype=torch.long)).all()
    assert not is_first_choice(hidden, head, torch.zeros(300, dtype=torch.long)).any()
    assert max(rows) == projection.ROWS_AT_ONCE


def test_a_model_that_caps_its_logits_is_refused():
    class Capped(type(tiny.llama())):  # type: ignore[misc]
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits.mul(0.01)
            return output

    model = tiny.llama()
    check_projection(model, torch.device("cpu"))
    model.__class__ = Capped
    with pytest.raises(UnsupportedModelError, match="changes its logits"):
        check_projection(model, torch.device("cpu"))
