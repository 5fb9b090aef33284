"""Weights, gradients and the optimiser's state split over processes (FSDP), or whole on each (DDP).

Sharding is torch's `fully_shard`: a unit for each transformer layer, and one for the rest. Trained
tensors are put together again for checkpoints and for the saved model, which therefore do not
depend on how many processes there were.
"""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError


def shards(config: TrainingConfig, accelerator: Accelerator) -> bool:
    """Whether the run is sharded, by its own setting or by `accelerate launch --use_fsdp`.

    Raises TrainingError where the optimiser cannot be.
    """
    asked = config.shard or bool(accelerator.distributed_type == DistributedType.FSDP)
    if asked and config.optimizer == "adafactor":
        raise TrainingError(
            "Adafactor's row and column statistics do not work on sharded weights; choose the "
            "optimizer adamw, rmsprop or sgd, or turn shard off."
        )
    return asked and int(accelerator.num_processes) > 1


def distribute(module: nn.Module, accelerator: Accelerator, *, shard: bool) -> nn.Module:
    """The module as processes train it together; sharded in place, before its optimiser is made."""
    if not shard:
        wrapped: nn.Module = accelerator.prepare_model(module)
        return wrapped
    kind = accelerator.device.type
    mesh = init_device_mesh(kind, (accelerator.num_processes,))
    for layer in _layers(module):
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def set_sync(model: nn.Module, *, last: bool) -> None:
    """Tell a sharded model whether the coming backward pass is the step's last."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)


def is_sharded(module: nn.Module) -> bool:
    """Whether the module's weights are split over processes."""
    return isinstance(module, FSDPModule)


def whole(value: Any) -> Tensor:
    """A tensor with all its shards, on every process; all processes must ask together."""
    tensor: Tensor = value.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def assign(parameter: Tensor, value: Tensor) -> None:
    """Write a whole tensor into a parameter, sharded or not."""
    parameter.copy_(like(value, parameter))


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor as the parameter is: on its device, and sharded if it is and shapes agree."""
    moved = value.to(parameter.device)
    if not isinstance(parameter, DTensor) or moved.shape != parameter.shape:
        return moved
    sharded: Tensor = distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return sharded


def whole_weights(module: nn.Module) -> Mapping[str, Tensor]:
    """All trained weights by name, put together on the CPU; all processes must ask together."""
    return {
        name: whole(item).cpu() for name, item in module.named_parameters() if item.requires_grad
    }


def _layers(module: nn.Module) -> list[nn.Module]:
    """The transformer layers: what transformers says must not be split over devices."""
    names = {
        name for part in module.modules() for name in getattr(part, "_no_split_modules", None) or ()
    }
    return [part for part in module.modules() if type(part).__name__ in names]
