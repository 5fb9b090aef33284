"""A weighted sum of reward sources, each of which is logged apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from training.alignment.rewards.protocol import (
    RewardError,
    RewardFunction,
    Rewards,
    RewardSource,
)
from training.alignment.rollouts.protocol import Prompt, Rollout


class Scores(NamedTuple):
    """The total [n], and each source's own rewards [n] before its weight, by name.

    Of a source with a time limit, `<name>_timed_out` is 1 where an answer ran out of it.
    """

    total: Rewards
    parts: Mapping[str, Rewards]


@dataclass(frozen=True)
class _Function:
    """A plain function as a source, under its own name."""

    function: RewardFunction

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        return np.asarray(self.function(rollouts), dtype=np.float64)


class Composed:
    """R(x, y) = Σ_s w_s R_s(x, y); itself a reward source.

    A source may be a plain function, which is logged under its own name.

    Raises RewardError, at once for two sources of one name, and when scoring for a source that
    fails, returns the wrong number of rewards or a reward that is not finite.
    """

    name = "reward"

    def __init__(
        self, sources: Sequence[RewardSource | RewardFunction], weights: Sequence[float]
    ) -> None:
        self.sources = tuple(
            source if isinstance(source, RewardSource) else _Function(source) for source in sources
        )
        names = [source.name for source in self.sources]
        if not names:
            raise RewardError("no reward source is named; training needs at least one")
        if len(weights) != len(names):
            raise RewardError(f"{len(names)} reward sources have {len(weights)} weights")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RewardError(f"two reward sources are called '{twice}'; name one of them anew")
        self.weights = tuple(float(weight) for weight in weights)

    @classmethod
    def of(cls, rewards: "OwnRewards") -> Self:
        """What a notebook hands in; where it names no weights, each counts once."""
        if isinstance(rewards, cls):
            return rewards
        sources: list[RewardSource | RewardFunction]
        sources = list(rewards) if isinstance(rewards, Sequence) else [rewards]
        return cls(sources, [1.0] * len(sources))

    def __call__(self, rollouts: Sequence[Rollout]) -> Rewards:
        return self.score(rollouts).total

    def check_facts(self, prompts: Sequence[Prompt]) -> None:
        """Raises RewardError for facts that a source will not be able to reward answers by."""
        for source in self.sources:
            check = getattr(source, "check_facts", None)
            try:
                if check is not None:
                    check(prompts)
            except RewardError as error:
                raise RewardError(f"reward source '{source.name}': {error}") from error

    def score(self, rollouts: Sequence[Rollout]) -> Scores:
        """The total and its parts."""
        parts = {source.name: _checked(source, rollouts) for source in self.sources}
        weighted = [
            weight * rewards for weight, rewards in zip(self.weights, parts.values(), strict=True)
        ]
        late = {
            f"{source.name}_timed_out": timed_out
            for source in self.sources
            if (timed_out := getattr(source, "timed_out", None)) is not None
        }
        return Scores(np.sum(weighted, axis=0), {**parts, **late})


OwnRewards = RewardFunction | Sequence[RewardSource | RewardFunction] | Composed


def _checked(source: RewardSource, rollouts: Sequence[Rollout]) -> Rewards:
    try:
        rewards = np.asarray(source(rollouts), dtype=np.float64)
    except RewardError as error:
        raise RewardError(f"reward source '{source.name}': {error}") from error
    # A source may be anybody's function: whatever it raises, its name belongs in the message.
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise RewardError(f"reward source '{source.name}' failed with {problem}") from error
    if rewards.shape != (len(rollouts),):
        raise RewardError(
            f"reward source '{source.name}' returned {rewards.shape} for {len(rollouts)} answers"
        )
    if not np.isfinite(rewards).all():
        wrong = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise RewardError(
            f"reward source '{source.name}' returned {rewards[wrong]} for answer {wrong}"
        )
    return rewards
