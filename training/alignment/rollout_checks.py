"""Numbers of an online run that do not go together. Imports without torch, so that a form knows."""

from collections.abc import Mapping
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.methods import Method
from training.alignment.options import OptionError


def check_rollouts(
    config: TrainingConfig, method: Method, hyperparameters: Mapping[str, Any], processes: int = 1
) -> None:
    """Raises OptionError where answers have no room, or cannot be compared or dealt to updates."""
    if config.samples_per_prompt < method.least_samples:
        raise OptionError(
            "samples_per_prompt",
            f"{method.title} compares {method.least_samples} or more answers to each prompt",
        )
    width = config.prompts_per_step / int(hyperparameters["mini_batches"])
    if width != int(width) or width < processes or config.prompts_per_step % processes:
        raise OptionError(
            "prompts_per_step",
            f"{config.prompts_per_step} cannot be dealt evenly to "
            f"{hyperparameters['mini_batches']} mini-batches on {processes} processes",
        )
    if config.max_prompt_length + config.max_new_tokens > config.max_length:
        raise OptionError(
            "max_new_tokens",
            f"{config.max_new_tokens} more than max_prompt_length exceed max_length "
            f"{config.max_length}",
        )
