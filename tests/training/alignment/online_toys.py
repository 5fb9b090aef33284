"""Prompts and rewards for the online loop that a tiny model can learn from in seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.training.alignment import tiny
from training.alignment.online_run import Sources
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.protocol import Rewards
from training.alignment.rollouts.protocol import Rollout
from training.alignment.rollouts.transformers import TransformersSource


class Reward:
    """A function of one rollout as a source."""

    def __init__(self, name: str, function: Callable[[Rollout], float]) -> None:
        self.name, self.function = name, function

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        return np.array([self.function(rollout) for rollout in rollouts], dtype=np.float64)


def share_of(letters: str) -> Callable[[Rollout], float]:
    """The share of an answer's tokens that are one of some letters' bytes."""
    wanted = {int(item) for item in tiny.byte_tokenizer()(letters)["input_ids"]}

    def share(rollout: Rollout) -> float:
        return float(np.mean([int(token) in wanted for token in rollout.completion]))

    return share


def write_prompts(path: Path, count: int) -> Path:
    return tiny.write_lines(path, [{"prompt": tiny.user(f"{n:02d}?")} for n in range(count)])


def sources(*rewards: Reward, watched: Reward | None = None) -> Sources:
    """Rollouts in this process, rewarded by `rewards` with equal weights."""
    return Sources(
        TransformersSource(None, tiny.byte_tokenizer()),
        Composed(rewards, [1.0] * len(rewards)),
        None if watched is None else Composed([watched], [0.0]),
    )
