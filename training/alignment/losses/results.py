"""What losses return, and what they ask of their arguments' shapes."""

from typing import NamedTuple

from torch import Tensor


class PairLoss(NamedTuple):
    """Per-pair losses and the detached implicit rewards of both sides, each of shape [b]."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


class BinaryLoss(NamedTuple):
    """Per-completion losses and detached implicit rewards, each of shape [b]."""

    losses: Tensor
    rewards: Tensor


def check_batch(**tensors: Tensor | None) -> None:
    """Raise ValueError unless all given tensors have one and the same shape [b]."""
    shapes = {name: tuple(value.shape) for name, value in tensors.items() if value is not None}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"expected tensors of one shape [b], got {listed}")
