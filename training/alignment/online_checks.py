"""What an online run is refused for before its first step, and stopped for at a later one."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType

from training.alignment.config import TrainingConfig
from training.alignment.experience import Experience
from training.alignment.failures import TrainingError
from training.alignment.methods import Method
from training.alignment.models import positions
from training.alignment.options import OptionError
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.settings import check_name, parse_rewards
from training.alignment.rollout_checks import check_rollouts
from training.alignment.rollouts.protocol import RolloutSource
from training.alignment.rollouts.settings import parse_rollouts
from training.alignment.vocabularies import check_vocabulary

# Largest mean |log π_trainer − log π_sampler| of a token at temperature 1, in nats, that rounding
# may come to. Two float32 computations of one model differ by less than 1e-5 (1e-4 on a GPU),
# two in bfloat16 by up to 0.03 on a small model; a sampler may be coarser than bfloat16. Another
# model differs by whole nats, and so does an old one before long.
_EXACT, _COARSE = 0.05, 0.3
_CLIPS = ("clip_range", "clip_low", "clip_high")


def check_settings(
    config: TrainingConfig, method: Method, hyperparameters: Mapping[str, Any], processes: int
) -> None:
    """Raises OptionError for settings that do not go together."""
    if method.load_step_statistic() is None:
        raise TrainingError(f"{method.title} has no function of advantages.")
    check_rollouts(config, method, hyperparameters, processes)
    if "ptx_coefficient" in hyperparameters and not config.ptx_file:
        raise OptionError("ptx_file", f"{method.title} needs a file of texts")


def check_sources(config: TrainingConfig, own: Composed | None = None) -> None:
    """Raises OptionError for sources of rollouts or rewards that cannot be.

    `own` are a notebook's, in place of the configuration's rewards.
    """
    parse_rollouts(config.rollout_source)
    trained = list(parse_rewards(config.reward_sources))
    watched = list(parse_rewards(config.watch_sources))
    if own is not None and trained:
        raise OptionError("reward_sources", "must be left out where rewards are handed in")
    for source in own.sources if own else ():
        check_name(source.name)
        trained.append(source.name)
    if not trained:
        raise OptionError("reward_sources", "needs at least one source to learn from")
    known = [*trained, *watched]
    if len(set(known)) < len(known):
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
        check_vocabulary(tokenizer, config.base_model, name, folder)


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


def check_start(config: TrainingConfig, experience: Experience) -> None:
    """Before any update the policy is what training starts from, and so is the reference.

    So both must give the first answers the same log-probabilities, unless another reference is
    named. It catches wrong adapters, dropout and broken loading before an hour is spent on them.
    Raises TrainingError.
    """
    is_other = config.reference_model not in (None, config.base_model)
    if is_other or config.reference_adapter != config.start_adapter:
        return
    policy = experience.old_logps.sum(dim=1).double()
    drift = float((policy - experience.reference_logps.sum(dim=1)).abs().mean())
    tolerance = 1e-3 if config.dtype == "float32" else 5e-2
    if not drift <= tolerance * max(1.0, float(policy.abs().mean()) / 10.0):
        raise TrainingError(
            "At the first step policy and reference are the same model, but their "
            f"log-probabilities differ by {drift:.4f} nats an answer; the model or its adapter is "
            "not what the run assumes."
        )


def check_first_update(
    config: TrainingConfig, hyperparameters: Mapping[str, Any], figures: Mapping[str, float]
) -> None:
    """At the first update the policy is the one that sampled: ratio 1, nothing clipped, no KL.

    `figures` are that update's. It catches dropout and whatever else training computes otherwise
    than scoring. An adapter that is trained with dropout parts from itself on purpose and is not
    held to it. Raises TrainingError.
    """
    if config.lora_dropout:
        return
    token = (1e-3 if config.dtype == "float32" else 0.1) / min(config.temperature, 1.0)
    # The rounding of a whole answer's tokens adds up like a random walk.
    is_whole = hyperparameters.get("objective") == "sequence_clip"
    ratio = token * math.sqrt(config.max_new_tokens) if is_whole else token
    expected = {"kl_old": (0.0, token**2), "ratio": (1.0, ratio)}
    ranges = [hyperparameters.get(name, math.inf) for name in _CLIPS]
    if min(ranges) > ratio:  # a narrower clip cuts rounding
        expected["clip_fraction"] = (0.0, ratio)
    for name, (value, tolerance) in expected.items():
        if name in figures and not abs(figures[name] - value) <= tolerance:
            raise TrainingError(
                f"At the first update the policy is the one that sampled, so {name} must be "
                f"{value:g}, but it is {figures[name]:.4g}; the model does not compute in training "
                "what it computes when it scores answers."
            )


def sampler_error(
    config: TrainingConfig, source: RolloutSource, *, difference: float, tokens: int, step: int
) -> TrainingError | None:
    """What to stop with where what sampled cannot have been the policy; None where it can.

    `difference` is the mean |log π_trainer − log π_sampler| of so many tokens, both at the run's
    temperature and uncut. Importance weights correct for rounding and for a policy of a moment ago;
    of anything else they make noise.
    """
    # A server does not tell its precision.
    is_exact = config.dtype == "float32" and getattr(source, "dtype", None) is torch.float32
    # Dividing logits by a temperature below 1 multiplies their rounding, and single tokens are off
    # by ten times the mean.
    allowed = (_EXACT if is_exact else _COARSE) / min(config.temperature, 1.0)
    allowed *= 1.0 + 4.0 / math.sqrt(tokens)
    if difference <= allowed:
        return None
    return TrainingError(
        f"After step {step} the sampler's log-probabilities are {difference:.3g} nats a token from "
        f"those of the policy, where rounding explains {allowed:.2g}: it samples from another "
        "model, from weights of an earlier step, or with settings of its own such as top-k or a "
        "penalty. A checkpoint of the steps before is kept. Have the server serve this run's own "
        "folder with neutral settings and load it anew, and start the same run again to go on."
    )
