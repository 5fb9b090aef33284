"""Rewards by length and by form: cheap, and never more than a nudge beside a real reward."""

import re
from collections.abc import Sequence

import numpy as np

from training.alignment.rewards.protocol import RewardError, Rewards
from training.alignment.rollouts.protocol import Rollout


class LengthPenalty:
    """0 up to `free` tokens, then falling in a line to −1 at `limit` tokens and beyond.

    DAPO's soft overlong punishment (Yu et al. 2025, arXiv 2503.14476, equation 13) with
    limit = L_max and limit − free = L_cache:
    R(y) = clip((free − |y|) / (limit − free), −1, 0). The end token counts.
    """

    def __init__(self, *, free: int, limit: int, name: str = "length") -> None:
        if not 0 <= free < limit:
            raise RewardError(f"{free} free tokens must be fewer than the limit of {limit}")
        self.name = name
        self.free = free
        self.limit = limit

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        lengths = np.array([len(rollout.completion) for rollout in rollouts], dtype=np.float64)
        return np.clip((self.free - lengths) / (self.limit - self.free), -1.0, 0.0)


class FormatPenalty:
    """0 where the whole text matches a regular expression, −1 where it does not.

    A dot matches line ends too.
    """

    def __init__(self, *, pattern: str, name: str = "format") -> None:
        try:
            self._pattern = re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise RewardError(f"'{pattern}' is no regular expression: {error}") from error
        self.name = name

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        matches = [self._pattern.fullmatch(rollout.text) is not None for rollout in rollouts]
        return np.array(matches, dtype=np.float64) - 1.0
