"""Models that read the policy's token ids must number tokens as it does."""

from pathlib import Path
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.models import load_tokenizer
from training.alignment.options import OptionError


def check_vocabulary(tokenizer: Any, policy: str | Path, setting: str, folder: str) -> None:
    """Raises OptionError, naming the setting, where `folder` has another vocabulary than a policy.

    `tokenizer` is the policy's.
    """
    if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
        raise OptionError(
            setting,
            f"{Path(folder).name} has another vocabulary than the policy {Path(policy).name}, "
            "whose token ids it would have to read; take two that were made from the same model",
        )


def check_reference(config: TrainingConfig, tokenizer: Any, policy: str | Path) -> None:
    """Raises OptionError where the reference has another vocabulary than the policy in a folder.

    Its log-probabilities would be those of other texts, and every figure that compares with them
    wrong without a sign of it.
    """
    if Path(policy) == Path(config.reference):
        return
    setting = "base_model" if config.reference_model is None else "reference_model"
    check_vocabulary(tokenizer, policy, setting, config.reference)
