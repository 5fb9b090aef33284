"""Value models: what a policy may expect from here on, for each token of a completion.

The critic of PPO. Its folder has the format of a reward model's, from which it may start, as
InstructGPT's does (Ouyang et al. 2022, arXiv 2203.02155, appendix C.4), or from a language model's
with a new head.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.alignment.reward_model import ScalarModel, load_reward_model, save_reward_model


class ValueScorer(ScalarModel):
    """Values of all states in which a completion token is chosen."""

    def forward(self, input_ids: Tensor, completion_mask: Tensor) -> Tensor:
        """V(x, y_<t) for each completion token y_t: float32 [n], row by row.

        The value of y_t is read where y_t is predicted, one position before it, so that it never
        sees the action it judges. n is the number of completion tokens of the whole batch, in the
        order of `CompletionScorer.forward`.

        Args:
            input_ids: [b, t], padded on the right.
            completion_mask: [b, t] bool, true at completion tokens; never at position 0.
        """
        hidden = self.hidden_states(input_ids)
        return self.apply_head(hidden[:, :-1][completion_mask[:, 1:]])


def load_value_model(
    folder: str | Path, *, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Any:
    """A reward or value model's folder, or a language model's with a new small head."""
    return load_reward_model(folder, dtype=dtype, device=device, seed=seed)


def save_value_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Write the folder in the format of a reward model's."""
    save_reward_model(model, tokenizer, target)
