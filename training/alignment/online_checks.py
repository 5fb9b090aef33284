"""What an online run is refused for before its first step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate.utils import DistributedType

from training.alignment.config import TrainingConfig
from training.alignment.failures import TrainingError
from training.alignment.methods import Method
from training.alignment.models import load_tokenizer, positions
from training.alignment.options import OptionError
from training.alignment.rewards.settings import parse_rewards
from training.alignment.rollout_checks import check_rollouts
from training.alignment.rollouts.settings import parse_rollouts


def check_settings(
    config: TrainingConfig, method: Method, hyperparameters: Mapping[str, Any], processes: int
) -> None:
    """Raises OptionError for settings that do not go together."""
    if method.load_step_statistic() is None:
        raise TrainingError(f"{method.title} has no function of advantages.")
    check_rollouts(config, method, hyperparameters, processes)
    if "ptx_coefficient" in hyperparameters and not config.ptx_file:
        raise OptionError("ptx_file", f"{method.title} needs a file of texts")


def check_sources(config: TrainingConfig) -> None:
    """Raises OptionError for sources of rollouts or rewards that cannot be."""
    parse_rollouts(config.rollout_source)
    known = {**parse_rewards(config.reward_sources), **parse_rewards(config.watch_sources)}
    if not config.reward_sources:
        raise OptionError("reward_sources", "needs at least one source to learn from")
    if len(known) < len(config.reward_sources) + len(config.watch_sources):
        raise OptionError("watch_sources", "has a source of the same name as a trained one")
    if config.test_reward is not None and config.test_reward not in known:
        raise OptionError(
            "test_reward", f"{config.test_reward!r} is no source; there are {', '.join(known)}"
        )


def check_launch(method: Method, launched: DistributedType) -> None:
    """Raises TrainingError under `accelerate launch --use_fsdp`."""
    if launched == DistributedType.FSDP:
        raise TrainingError(
            f"{method.title} samples while it trains, which a model that is split over processes "
            "(FSDP) cannot do. Launch it without --use_fsdp, so that each process has the whole "
            "model; where that does not fit, train a LoRA adapter in bfloat16 with "
            "gradient_checkpointing."
        )


def scored_folders(config: TrainingConfig, method: Method) -> dict[str, str]:
    """Folders of the models that read the policy's token ids, by what a configuration calls them.

    The value model starts from the policy's folder when none is named.
    """
    critic = config.value_model if method.needs_value_model else None
    named = {"reference_model": config.reference_model, "value_model": critic}
    return {name: folder for name, folder in named.items() if folder is not None}


def check_vocabularies(config: TrainingConfig, method: Method, tokenizer: Any) -> None:
    """Raises OptionError for a reference or value model of another vocabulary than the policy's.

    Both read the policy's token ids, which would mean something else to them. Reward models are not
    among them: one of another vocabulary gets the text.
    """
    for name, folder in scored_folders(config, method).items():
        if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
            raise OptionError(
                name,
                f"{Path(folder).name} has another vocabulary than the policy "
                f"{Path(config.base_model).name}, whose token ids it would have to read; name one "
                "that was made from the same model, or leave it out",
            )


def check_positions(config: TrainingConfig, method: Method, longest: int) -> None:
    """Raises OptionError where a model lacks positions for the longest prompt and an answer to it.

    `longest` is in tokens. Reward models cut what is too long for them.
    """
    whole = longest + config.max_new_tokens
    for folder in (config.base_model, *scored_folders(config, method).values()):
        known = positions(folder)
        if known is not None and whole > known:
            raise OptionError(
                "max_new_tokens",
                f"the longest prompt has {longest} tokens and an answer may have "
                f"{config.max_new_tokens}, {whole} together, but {Path(folder).name} has only "
                f"{known} positions; lower max_new_tokens or max_prompt_length",
            )
