"""log softmax of the vocabulary projection at given targets, without ever holding [n, v] twice.

Notation: n rows, h hidden features, v vocabulary entries; W [v, h] the head, c its bias.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

# Rows whose probabilities are made at once, in the cache rather than in memory; and how much
# memory probabilities may take from the forward to the backward pass.
ROWS_AT_ONCE = 128
_KEPT_BYTES = 128 * 2**20


class _Chunk(NamedTuple):
    """Probabilities [r, v] float32, log normaliser and target logit [r]."""

    probabilities: Tensor
    normalisers: Tensor
    logits: Tensor


def target_log_probs(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    temperature: float = 1.0,
) -> Tensor:
    """log softmax((hidden Wᵀ + c) / temperature) at the targets: [n, h] and [n] to float32 [n].

    Products are taken in `dtype`, the softmax in float32. Where the products are rounded, the
    target's logit is computed again in float32 and put right in the normaliser too, for of all
    entries its rounding shows most.

    The derivative with respect to row i's hidden state is (W[target] - p W) / temperature. With a
    frozen head it is made in the forward pass and needs no memory of the size of the vocabulary;
    otherwise the probabilities are kept when they are few and made anew when they are many.
    """
    arguments = (hidden, weight, bias, targets, dtype, temperature, torch.is_grad_enabled())
    with torch.autocast(hidden.device.type, enabled=False):
        values: Tensor = _TargetLogProbs.apply(*arguments)  # type: ignore[no-untyped-call]
    return values


class _TargetLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        dtype: torch.dtype,
        temperature: float,
        is_training: bool,
    ) -> Tensor:
        head = weight.to(dtype)
        trains_head = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        keeps = is_training and trains_head and len(hidden) <= _block_rows(weight, dtype)
        slopes = is_training and not trains_head and ctx.needs_input_grad[0]
        ctx.kept = hidden.new_empty(len(hidden), len(weight), dtype=dtype) if keeps else None
        ctx.slopes = torch.empty_like(hidden) if slopes else None
        values = hidden.new_empty(len(hidden), dtype=torch.float32)
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            chunk = _chunk(hidden[rows], weight, head, bias, targets[rows], temperature)
            values[rows] = chunk.logits - chunk.normalisers
            if keeps:
                ctx.kept[rows] = chunk.probabilities
            if slopes:
                mean = chunk.probabilities.to(dtype) @ head
                ctx.slopes[rows] = (head[targets[rows]].float() - mean) / temperature
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.dtype, ctx.temperature = dtype, temperature
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
        if ctx.slopes is not None:
            return (ctx.slopes * slope[:, None].to(ctx.slopes.dtype), *[None] * 6)
        hidden, weight, bias, targets = ctx.saved_tensors
        head = weight.to(ctx.dtype)
        slope = slope / ctx.temperature
        for_hidden = torch.empty_like(hidden)
        for_weight = for_bias = None
        size = _block_rows(weight, ctx.dtype)
        for start in range(0, len(hidden), size):
            rows = slice(start, start + size)
            block = _for_logits(ctx, hidden[rows], weight, head, bias, targets[rows], slope[rows])
            for_hidden[rows] = block @ head
            for_weight = _sum(for_weight, block.t() @ hidden[rows].to(ctx.dtype), weight.dtype)
            if bias is not None:
                for_bias = _sum(for_bias, block.sum(0, dtype=torch.float32), bias.dtype)
        return for_hidden, for_weight, for_bias, None, None, None, None


def _chunk(
    hidden: Tensor,
    weight: Tensor,
    head: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    temperature: float,
) -> _Chunk:
    logits = (hidden.to(head.dtype) @ head.t()).float()
    if bias is not None:
        logits += bias.float()
    if temperature != 1.0:
        logits /= temperature
    largest, place = logits.max(dim=1)
    probabilities = logits.softmax(dim=1)
    # The largest probability is at least 1/v: its logarithm is always finite.
    normalisers = largest - probabilities.gather(1, place[:, None])[:, 0].log()
    rounded = logits.gather(1, targets[:, None])[:, 0]
    if head.dtype is torch.float32:
        return _Chunk(probabilities, normalisers, rounded)
    exact = (hidden.float() * weight[targets].float()).sum(dim=1)
    exact = (exact if bias is None else exact + bias[targets].float()) / temperature
    share = probabilities.gather(1, targets[:, None])[:, 0]
    return _Chunk(
        probabilities, normalisers + torch.log1p(share * torch.expm1(exact - rounded)), exact
    )


def _for_logits(
    ctx: Any,
    hidden: Tensor,
    weight: Tensor,
    head: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    slope: Tensor,
) -> Tensor:
    """The gradient at a block's logits, slope · (1[target] - p), in the dtype of the products."""
    kept: Tensor | None = ctx.kept
    ctx.kept = None
    block = head.new_empty(len(hidden), len(head)) if kept is None else kept
    if kept is None:
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            chunk = _chunk(hidden[rows], weight, head, bias, targets[rows], ctx.temperature)
            block[rows] = chunk.probabilities
    block *= -slope[:, None].to(block.dtype)
    block[torch.arange(len(targets), device=targets.device), targets] += slope.to(block.dtype)
    return block


def _block_rows(weight: Tensor, dtype: torch.dtype) -> int:
    return max(ROWS_AT_ONCE, _KEPT_BYTES // (len(weight) * dtype.itemsize))


def _sum(total: Tensor | None, part: Tensor, dtype: torch.dtype) -> Tensor:
    return part.to(dtype) if total is None else total.add_(part)
