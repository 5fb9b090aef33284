"""Rewards by length and by form: cheap, and never more than a nudge beside a real reward."""

import re
from collections.abc import Sequence

import numpy as np

from training.alignment.rewards.protocol import RewardError, Rewards
from training.alignment.rewards.settings import MISSING_END
from training.alignment.rewards.verifier_process import VerifierProcess
from training.alignment.rewards.verifiers import FULL_MATCH
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


class MissingEndPenalty:
    """−`penalty` where an answer did not end by itself, 0 where it did."""

    def __init__(self, *, penalty: float, name: str = MISSING_END) -> None:
        self.name = name
        self.penalty = penalty

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        ended = np.array([rollout.ended for rollout in rollouts], dtype=np.float64)
        return self.penalty * (ended - 1.0)


class FormatPenalty:
    """0 where the whole text matches a regular expression, −1 where it does not.

    A dot matches line ends too. Some expressions take exponential time on some answers, and the
    policy writes those. So they are matched in a process of their own; what is not matched within
    `time_limit` seconds counts as another form, and `timed_out` [n] has 1 for it.
    """

    def __init__(self, *, pattern: str, time_limit: float = 10.0, name: str = "format") -> None:
        try:
            re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise RewardError(f"'{pattern}' is no regular expression: {error}") from error
        self.name = name
        self.timed_out: Rewards | None = None
        self._facts = {"pattern": pattern}
        self._match = VerifierProcess(FULL_MATCH, time_limit=time_limit)

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        found = [self._match("", rollout.text, self._facts) for rollout in rollouts]
        self.timed_out = np.array([match is None for match in found], dtype=np.float64)
        return np.array([match or 0.0 for match in found], dtype=np.float64) - 1.0
