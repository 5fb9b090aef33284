"""Reward models: a language model whose scalar head scores a completion at its last real token.

On disk a reward model is a transformers `...ForSequenceClassification` folder with one label, so
that other tools load it. `score_shift` in its config.json is what is added to every score, so that
a score of zero means something (see `set_score_shift`).

Notation: b sequences, t padded positions, h hidden features.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from training.alignment.attention import use_packed_attention
from training.alignment.log_probs import hidden_states
from training.alignment.models import ModelError, checked_folder, load_checked, save_model
from training.alignment.packing import Packing
from training.alignment.tokenization import end_tokens

_HEADS = ("score", "classifier")


class ScalarModel(nn.Module):
    """A transformers model with a scalar head, and how its head is applied; plain or PEFT."""

    def __init__(self, model: nn.Module, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model
        self.compute_dtype = compute_dtype
        self.packs = use_packed_attention(transformers_model(model))

    @property
    def shift(self) -> float:
        """What is added to every output of the head."""
        return float(getattr(transformers_model(self.model).config, "score_shift", 0.0))

    def hidden_states(self, input_ids: Tensor, packing: Packing | None = None) -> Tensor:
        """Last hidden states [b, t, h] of a padded batch or of a packed row."""
        base = transformers_model(self.model)
        device, low = input_ids.device, self.compute_dtype is not torch.float32
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            return hidden_states(base, input_ids, packing)

    def apply_head(self, hidden: Tensor) -> Tensor:
        """The scalar of each row in float32: [n, h] to [n]."""
        head = scalar_head(transformers_model(self.model))
        with torch.autocast(hidden.device.type, enabled=False):
            scores: Tensor = head(hidden.to(head_dtype(head))).float()[:, 0]
        return scores + self.shift


class RewardScorer(ScalarModel):
    """Scores whole completions; the module that training wraps."""

    scores_whole = True

    def forward(
        self, input_ids: Tensor, completion_mask: Tensor, packing: Packing | None = None
    ) -> Tensor:
        """The score of each sequence at its last completion token: [b] float32.

        Args:
            input_ids: [b, t], padded on the right.
            completion_mask: [b, t] bool, true at completion tokens; at least one a row.
            packing: how the tokens are laid out when they are one packed row.
        """
        if packing is not None:
            return self.apply_head(self.hidden_states(input_ids, packing)[0][packing.ends])
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        last = (completion_mask * positions).argmax(dim=1)
        hidden = self.hidden_states(input_ids)
        return self.apply_head(hidden[torch.arange(len(last), device=last.device), last])


def load_reward_model(
    folder: str | Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    seed: int = 0,
    spread: float = 0.1,
) -> Any:
    """A reward model's folder, or a language model's with a new small head.

    The new head is drawn from N(0, spread² / (h+1)). Spread 1 is what Stiennon et al. (2020, arXiv
    2009.01325) use; a tenth of it keeps the first Bradley-Terry loss close to ln 2 where hidden
    states are large. The head stays float32 whatever the dtype.

    Raises ModelError when the folder's classifier has more than one label.
    """
    # Weights of more labels than one would not fit, and loading them would say less well why.
    has_head = is_reward_model(folder)
    model = load_checked(
        AutoModelForSequenceClassification, folder, dtype=dtype, device=device, num_labels=1
    )
    head = scalar_head(model)
    if not has_head:
        generator = torch.Generator().manual_seed(seed)
        deviation = spread / (head.weight.shape[1] + 1) ** 0.5
        fresh = torch.randn(head.weight.shape, generator=generator) * deviation
        with torch.no_grad():
            head.weight.copy_(fresh)
            if head.bias is not None:
                head.bias.zero_()
    head.float()
    return model


def is_reward_model(folder: str | Path) -> bool:
    """Whether the folder holds a sequence classifier.

    Raises ModelError where it is no model's, and unless a classifier has one label.
    """
    path = checked_folder(folder)
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    names = config.architectures or []
    if not any(name.endswith("ForSequenceClassification") for name in names):
        return False
    if config.num_labels != 1:
        raise ModelError(
            f"{path.name}: is a classifier of {config.num_labels} labels; a reward model has one."
        )
    return True


def save_reward_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Write the folder so that transformers' own forward gives the same scores but for the shift.

    It looks for the last token that is not padding, so padding must not be what ends a turn. A
    vocabulary without any other special token leaves padding unset: others score one at a time.
    """
    ends, pad = end_tokens(tokenizer), tokenizer.pad_token_id
    if pad is None or pad in ends:
        added = tokenizer.added_tokens_decoder
        others = [token for token, text in added.items() if text.special and token not in ends]
        # What opens texts or turns comes last: an embedding that pads is not trained again.
        pad = min(others, key=lambda token: (token == tokenizer.bos_token_id, token), default=None)
    if pad is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    model.config.get_text_config().pad_token_id = pad
    model.config.pad_token_id = pad
    save_model(model, tokenizer, target)


def set_score_shift(model: Any, mean: float) -> None:
    """Shift all scores so that what scored `mean` scores zero.

    InstructGPT (Ouyang et al. 2022, arXiv 2203.02155, section 3.5) does so with the mean score of
    demonstrations before reinforcement learning; differences of scores do not change.
    """
    config = transformers_model(model).config
    config.score_shift = float(getattr(config, "score_shift", 0.0)) - mean


def scalar_head(base: Any) -> Any:
    """The linear layer that turns a hidden state into a score."""
    for name in _HEADS:
        if hasattr(base, name):
            return getattr(base, name)
    raise ModelError(f"{type(base).__name__} has no scalar head called {' or '.join(_HEADS)}.")


def head_dtype(head: nn.Module) -> torch.dtype:
    """What the head's weights are in, inside PEFT's wrapper or not."""
    return next(head.parameters()).dtype


def transformers_model(model: Any) -> Any:
    """The transformers model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
