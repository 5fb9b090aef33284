"""What a source of rewards promises. Imports without torch."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from training.alignment.rollouts.protocol import Rollout

Rewards = NDArray[np.float64]


class RewardError(RuntimeError):
    """A reward source failed; the message names the source and the cause."""


@runtime_checkable
class RewardSource(Protocol):
    """Any callable with a name: in a notebook, a function in a class of three lines."""

    @property
    def name(self) -> str:
        """Under which its rewards are logged."""
        ...

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        """One finite reward for each rollout: [n]. Higher is better."""
        ...
