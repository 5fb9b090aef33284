"""A copy of a model that only samples: in the precision of the computation, its matrices packed.

Training keeps float32 master weights; casting them at every step of sampling would cost more than
the step. On CPUs oneDNN would besides rearrange every matrix for every small batch, so the copy
holds them in the order that oneDNN computes in (at 8 rows a step of SmolLM2 takes about 0.55 of
the time in float32). As under
training's autocast, what is no matrix product is then computed in float32, attention too, so that
sampler and trainer differ little.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """x Wᵀ + b with W in oneDNN's own order; without gradient."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, rows: int) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.dtype = dtype
        self._weight = torch.ops.mkldnn._reorder_linear_weight(
            linear.weight.detach().to(dtype), rows
        )
        bias = linear.bias
        self._bias = None if bias is None else bias.detach().to(dtype, copy=True)

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            values.to(self.dtype), self._weight, self._bias, "none", [], ""
        )
        return result.to(values.dtype)


def can_pack(model: Any, dtype: torch.dtype) -> bool:
    """Whether this machine has an order of its own for the model's matrices in `dtype`."""
    device = next(model.parameters()).device
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@torch.no_grad()
def sampling_copy(model: Any, dtype: torch.dtype, *, rows: int = 16) -> Any:
    """The model with its present weights, computing in `dtype`, for sampling alone.

    The vocabulary projection stays float32, as scoring has it. `rows` is the batch that packed
    matrices are arranged for; any other works as well.
    """
    if can_pack(model, dtype):
        packed = {
            module
            for name, module in model.named_modules()
            # PEFT asks its own small matrices for their weights.
            if type(module) is nn.Linear and "lora_" not in name
        }
        copied = _copy(model, dtype, rows, packed)
        if _runs(copied):
            return copied
    return _copy(model, dtype, rows, set())


def _copy(model: Any, dtype: torch.dtype, rows: int, packed: set[nn.Linear]) -> Any:
    head = model.get_output_embeddings()
    rest = torch.float32 if packed else dtype
    memo: dict[int, Any] = {
        id(module): PackedLinear(module, torch.float32 if module is head else dtype, rows)
        for module in packed
    }
    if type(head) is nn.Linear and head not in packed:
        memo[id(head)] = _float32(head)
    for module in model.modules():
        if id(module) not in memo:
            for parameter in module.parameters(recurse=False):
                memo[id(parameter)] = nn.Parameter(
                    parameter.detach().to(rest, copy=True), requires_grad=False
                )
    copied = copy.deepcopy(model, memo).eval()
    for module in copied.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = False
    return copied


def _runs(copied: Any) -> bool:
    """Whether the model's own code calls its matrices, and never reaches for their weights."""
    try:
        copied(torch.zeros(1, 1, dtype=torch.long))
    except AttributeError:
        return False
    return True


def _float32(head: nn.Linear) -> nn.Linear:
    copied = nn.Linear(head.in_features, head.out_features, bias=False, device="meta")
    copied.weight = nn.Parameter(head.weight.detach().to(torch.float32, copy=True), False)
    if head.bias is not None:
        copied.bias = nn.Parameter(head.bias.detach().to(torch.float32, copy=True), False)
    return copied
