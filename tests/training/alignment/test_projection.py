"""The vocabulary projection against float64, whichever way its gradient is made."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.alignment import projection
from training.alignment.projection import target_log_probs

ROWS, FEATURES, WORDS = 11, 6, 40


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    hidden = torch.randn(ROWS, FEATURES, generator=generator)
    weight = torch.randn(WORDS, FEATURES, generator=generator)
    bias = torch.randn(WORDS, generator=generator)
    targets = torch.randint(0, WORDS, (ROWS,), generator=generator)
    return hidden.to(dtype), weight.to(dtype), bias.to(dtype), targets


def naive(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    logits = torch.nn.functional.linear(hidden, weight, bias) / 0.7
    return logits.log_softmax(1).gather(1, targets[:, None])[:, 0]


def slopes(values: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    (values * torch.linspace(-1, 2, ROWS).to(values)).sum().backward()
    return [tensor.grad for tensor in tensors if tensor is not None and tensor.grad is not None]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("is_frozen", [True, False])
@pytest.mark.parametrize(("rows", "kept"), [(128, 2**27), (4, 2**27), (4, 1), (3, 5 * 40 * 4)])
def test_values_and_gradients_are_those_of_float64(with_bias, is_frozen, rows, kept, monkeypatch):
    monkeypatch.setattr(projection, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(projection, "_KEPT_BYTES", kept)
    results = []
    for dtype, function in ((torch.float64, naive), (torch.float32, target_log_probs)):
        hidden, weight, bias, targets = inputs(dtype)
        leaves = [hidden] if is_frozen else [hidden, weight, *([bias] if with_bias else [])]
        for leaf in leaves:
            leaf.requires_grad_()
        options = {} if function is naive else {"temperature": 0.7}
        values = function(hidden, weight, bias if with_bias else None, targets, **options)
        results.append([values.detach(), *slopes(values, *leaves)])
    for exact, found in zip(*results, strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


class Logits(TorchDispatchMode):
    """The most rows of the vocabulary that any operation gives."""

    rows = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        shape = found.shape if isinstance(found, Tensor) else ()
        if len(shape) == 2 and shape[1] == WORDS and shape[0] != FEATURES:
            self.rows = max(self.rows, shape[0])
        return found


@pytest.mark.parametrize("is_frozen", [True, False])
def test_1_to_4_no_more_than_a_chunk_of_logits_stands_anywhere(is_frozen, monkeypatch):
    monkeypatch.setattr(projection, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(projection, "_KEPT_BYTES", 1)
    seen = []
    for function in (naive, target_log_probs):
        hidden, weight, _, targets = inputs()
        for leaf in [hidden] if is_frozen else [hidden, weight]:
            leaf.requires_grad_()
        with Logits() as logits:
            function(hidden, weight, None, targets).sum().backward()
        seen.append(logits.rows)
    assert seen == [ROWS, 3]


def test_rounded_products_leave_the_targets_exact():
    generator = torch.Generator().manual_seed(4)
    hidden = torch.randn(ROWS, 64, generator=generator)
    targets = torch.arange(ROWS)
    # Each target stands out with a logit near 40, which bfloat16 rounds by up to an eighth.
    weight = 0.6 * torch.cat([hidden, torch.randn(WORDS - ROWS, 64, generator=generator)])
    exact = target_log_probs(hidden, weight, None, targets)
    low = target_log_probs(hidden, weight, None, targets, dtype=torch.bfloat16)
    assert low.dtype is torch.float32
    torch.testing.assert_close(low, exact, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("is_frozen", [True, False])
def test_gradients_in_low_precision_point_the_same_way(is_frozen):
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        hidden, weight, _, targets = inputs()
        leaves = [hidden] if is_frozen else [hidden, weight]
        for leaf in leaves:
            leaf.requires_grad_()
        found.append(slopes(target_log_probs(hidden, weight, None, targets, dtype=dtype), *leaves))
    for exact, low in zip(*found, strict=True):
        assert low.dtype is torch.float32
        assert torch.cosine_similarity(exact.ravel(), low.ravel(), dim=0) > 0.999


def test_an_impossible_target_has_a_finite_log_probability():
    hidden, weight, _, targets = inputs()
    hidden = 1e3 * hidden
    values = target_log_probs(hidden, weight, None, targets)
    expected = (hidden.double() @ weight.double().t()).log_softmax(1)
    expected = expected.gather(1, targets[:, None])[:, 0]
    assert expected.min() < -500
    torch.testing.assert_close(values.double(), expected, rtol=1e-5, atol=1e-2)


def test_without_gradient_nothing_is_kept():
    hidden, weight, bias, targets = inputs()
    weight.requires_grad_()
    with torch.no_grad():
        values = target_log_probs(hidden, weight, bias, targets)
    assert not values.requires_grad
