"""Value models: what a policy may expect from here on, for each token of a completion.

The critic of PPO. Its folder has the format of a reward model's, from which it may start, as
InstructGPT's does (Ouyang et al. 2022, arXiv 2203.02155, appendix C.4), or from a language model's
with a new head.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.alignment.log_probs import predictors
from training.alignment.packing import Packing
from training.alignment.reward_model import ScalarModel, load_reward_model, save_reward_model

_NEW_HEAD = 0.01


class ValueScorer(ScalarModel):
    """Values of all states in which a completion token is chosen."""

    def forward(
        self, input_ids: Tensor, completion_mask: Tensor, packing: Packing | None = None
    ) -> Tensor:
        """V(x, y_<t) for each completion token y_t: float32 [n], row by row.

        The value of y_t is read where y_t is predicted, one position before it, so that it never
        sees the action it judges. n is the number of completion tokens of the whole batch, in the
        order of `CompletionScorer.forward`.

        Args:
            input_ids: [b, t], padded on the right.
            completion_mask: [b, t] bool, true at completion tokens; never at position 0.
            packing: how the tokens are laid out when they are one packed row.
        """
        hidden = self.hidden_states(input_ids, packing)
        return self.apply_head(predictors(hidden, completion_mask, packing))


def load_value_model(
    folder: str | Path, *, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Any:
    """A reward or value model's folder, or a language model's with a new head of about zero.

    A critic that knows nothing yet had better say nothing: advantages are then the returns.
    """
    return load_reward_model(folder, dtype=dtype, device=device, seed=seed, spread=_NEW_HEAD)


def save_value_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Write the folder in the format of a reward model's."""
    save_reward_model(model, tokenizer, target)
