"""What a source of rollouts promises. Imports without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from training.alignment.data import Text
from training.alignment.tokenization import Tokens


class RolloutError(RuntimeError):
    """Answers could not be sampled; the message names the source, the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an answer is wanted to.

    `id` and the seed decide its samples. `facts` is what its row says beyond the text, for example
    the right answer; only reward sources look at it.
    """

    id: str
    tokens: Tokens
    text: Text
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer.

    `completion` holds the end token when the model wrote one. `log_probs` [t] are float32
    log-probabilities of the completion's tokens under the distribution that was sampled from:
    softmax(logits / temperature), cut to top_p where that is below 1. At temperature 0 they are
    those at temperature 1. `group` is the prompt's place in the call, equal for all its samples.
    """

    prompt: Tokens
    prompt_text: Text
    completion: Tokens
    text: str
    log_probs: NDArray[np.float32]
    finish_reason: str
    group: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the model ended it, rather than the limit of tokens."""
        return self.finish_reason == "stop"


@runtime_checkable
class RolloutSource(Protocol):
    """An engine that samples from the policy."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        per_prompt: int,
        seed: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float = 1.0,
    ) -> list[list[Rollout]]:
        """`per_prompt` answers to each prompt, in the order of the prompts.

        Sample k of a prompt depends on (seed, prompt id, k) and the weights only. Raises
        RolloutError when the engine cannot be reached or answers wrongly.
        """
        ...

    def update(self, model: Any) -> None:
        """Sample from these weights from now on."""
        ...
