import pytest
import torch
from torch import nn

from tests.training.alignment import tiny
from training.alignment.generation.copies import PackedLinear, sampling_copy


@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_matrix_multiplies_as_the_plain_one(bias):
    linear = nn.Linear(24, 40, bias=bias)
    packed = PackedLinear(linear, torch.float32, 4)
    for shape in [(1, 24), (4, 24), (2, 5, 24), (70, 24)]:
        values = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(packed(values), linear(values), atol=1e-5, rtol=1e-4)


def test_a_float32_copy_computes_the_same():
    model = tiny.llama()
    copied = sampling_copy(model, torch.float32)
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        torch.testing.assert_close(copied(ids).logits, model(ids).logits, atol=1e-4, rtol=1e-4)


def test_the_copy_shares_no_memory_with_the_model():
    model = tiny.llama()
    copied = sampling_copy(model, torch.float32)
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        before = copied(ids).logits
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(copied(ids).logits, before)


def test_the_copy_computes_as_training_does_under_autocast():
    model = tiny.llama()
    copied = sampling_copy(model, torch.bfloat16)
    ids = torch.arange(1, 60)[None]
    with torch.no_grad():
        exact = model(ids).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            trained = model(ids).logits.float()
        sampled = copied(ids).logits
    assert sampled.dtype == torch.float32
    assert not copied.training
    error = (sampled - exact).abs().mean()
    assert 0 < error <= 1.2 * (trained - exact).abs().mean()


class Reaches(nn.Module):
    """A layer whose code takes a matrix's weight instead of calling the matrix."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, values):
        return nn.functional.linear(values, self.inner.weight)


def test_a_model_that_reaches_for_its_weights_is_copied_unpacked():
    model = tiny.llama()
    for layer in model.model.layers:
        layer.mlp.down_proj = Reaches(layer.mlp.down_proj)
    copied = sampling_copy(model, torch.float32)
    assert not any(isinstance(module, PackedLinear) for module in copied.modules())
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        torch.testing.assert_close(copied(ids).logits, model(ids).logits, atol=1e-4, rtol=1e-4)
