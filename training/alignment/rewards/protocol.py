"""What a source of rewards promises. Imports without torch."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from training.alignment.rollouts.protocol import Rollout

Rewards = NDArray[np.float64]
# What a notebook may hand in: of some answers one finite number each, higher is better.
RewardFunction = Callable[[Sequence[Rollout]], Sequence[float] | Rewards]


class RewardError(RuntimeError):
    """A reward source failed; the message names the source and the cause."""


@runtime_checkable
class RewardSource(Protocol):
    """A callable with a name. A plain function becomes one under its own (see `Composed`)."""

    @property
    def name(self) -> str:
        """Under which its rewards are logged."""
        ...

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        """One finite reward for each rollout: [n]. Higher is better."""
        ...
