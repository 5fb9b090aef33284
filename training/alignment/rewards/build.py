"""Reward sources from a configuration."""

from collections.abc import Mapping
from typing import Any

import torch

from training.alignment.rewards.composed import Composed
from training.alignment.rewards.judge import JudgeSource
from training.alignment.rewards.penalties import FormatPenalty, LengthPenalty
from training.alignment.rewards.protocol import RewardError, RewardSource
from training.alignment.rewards.reward_models import RewardModelSource
from training.alignment.rewards.settings import (
    FormatOptions,
    JudgeOptions,
    LengthOptions,
    RewardModelOptions,
    SourceOptions,
    VerifierOptions,
    parse_rewards,
)
from training.alignment.rewards.verifiers import verifier_source


def build_rewards(settings: Mapping[str, Any], *, tokenizer: Any, device: torch.device) -> Composed:
    """Load every source. `tokenizer` is the policy's.

    Raises OptionError for wrong settings and RewardError or ModelError for a source that cannot be
    loaded.
    """
    parsed = parse_rewards(settings)
    sources = [_build(name, options, tokenizer, device) for name, options in parsed.items()]
    return Composed(sources, [options.weight for options in parsed.values()])


def _build(name: str, options: SourceOptions, tokenizer: Any, device: torch.device) -> RewardSource:
    try:
        match options:
            case RewardModelOptions():
                return _reward_model(name, options, tokenizer, device)
            case VerifierOptions():
                return verifier_source(
                    options.verifier,
                    name=name,
                    time_limit=options.time_limit,
                    timed_out_reward=options.timed_out_reward,
                )
            case LengthOptions():
                return LengthPenalty(free=options.free, limit=options.limit, name=name)
            case FormatOptions():
                return FormatPenalty(
                    pattern=options.pattern, time_limit=options.time_limit, name=name
                )
            case JudgeOptions():
                return JudgeSource(options.judge, name=name)
    except RewardError as error:
        raise RewardError(f"reward source '{name}': {error}") from error
    raise RewardError(f"reward source '{name}': nothing builds a {options.kind}")


def _reward_model(
    name: str,
    options: RewardModelOptions,
    tokenizer: Any,
    device: torch.device,
) -> RewardSource:
    return RewardModelSource.load(
        options.folders,
        tokenizer,
        dtype=torch.bfloat16 if options.dtype == "bfloat16" else torch.float32,
        device=device,
        name=name,
        combine=options.combine,
        uncertainty_weight=options.uncertainty_weight,
        batch_size=options.batch_size,
    )
