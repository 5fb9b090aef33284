"""What must be equal for an online run to go on from a checkpoint: contents, wherever they lie."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method
from training.alignment.models import fingerprint, tokenizer_fingerprint
from training.alignment.online_checks import scored_folders
from training.alignment.reference import sequence_key
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.settings import parse_rewards
from training.alignment.rollouts.protocol import Prompt
from training.alignment.tokenization import Example

# May differ between a run and its continuation: where things lie (their contents count instead),
# what is only watched, and when to stop.
FREE = {
    *("base_model", "start_adapter", "reference_model", "value_model", "reward_sources"),
    *("train_file", "held_out_file", "ptx_file", "demonstrations_file", "reference_cache"),
    "held_out_pairs_file",
    *("output_dir", "device", "rollout_source", "watch_sources", "evaluation_reward_model"),
    *("kl_budget", "step_sample_prompts"),
}
# Of a reward source: the folders' contents count, and how it is asked changes no reward.
_FREE_OF_A_SOURCE = {"folders", "batch_size", "time_limit", "cap"}

Mark = Callable[..., str]


def identity(
    config: TrainingConfig,
    *,
    processes: int,
    prompts: Sequence[Prompt],
    held_out: Sequence[Prompt],
    ptx: Sequence[Example],
    rewards: Composed,
) -> dict[str, Any]:
    """Every setting that shapes the numbers, and digests of all that the run reads, by setting."""
    mark: Mark = cache(fingerprint)
    method, adapter = get_method(config.method), config.start_adapter
    values = {name: value for name, value in asdict(config).items() if name not in FREE}
    read = {
        "base_model": mark(config.base_model),
        "start_adapter": adapter and mark(config.base_model, adapter),
        "reference_model": mark(config.reference, config.reference_adapter),
        "value_model": (folder := scored_folders(config, method).get("value_model"))
        and mark(folder),
        "reward_sources": _rewards(config, rewards, mark),
        "tokenizers": _tokenizers(config),
        "train_prompts": _prompts(prompts),
        "held_out_prompts": _prompts(held_out),
        "ptx_file": _digest(sequence_key(item.sequences["completion"]) for item in ptx),
    }
    # As a checkpoint will give it back.
    whole: dict[str, Any] = json.loads(json.dumps({**values, **read, "processes": processes}))
    return whole


def _rewards(config: TrainingConfig, rewards: Composed, mark: Mark) -> dict[str, Any]:
    """What each source is; of a notebook's own sources only names and weights are known."""
    if not config.reward_sources:
        pairs = zip(rewards.sources, rewards.weights, strict=True)
        return {source.name: weight for source, weight in pairs}
    found = {}
    for name, options in parse_rewards(config.reward_sources).items():
        said = {k: v for k, v in asdict(options).items() if k not in _FREE_OF_A_SOURCE}
        models = [mark(folder) for folder in getattr(options, "folders", [])]
        found[name] = {**said, "models": models}
    return found


def _tokenizers(config: TrainingConfig) -> dict[str, Any]:
    """Of those who read or write text: the policy, and reward models that get it as text."""
    sources = parse_rewards(config.reward_sources).items() if config.reward_sources else ()
    return {
        "base_model": tokenizer_fingerprint(config.base_model),
        "reward_sources": {
            name: [tokenizer_fingerprint(folder) for folder in getattr(options, "folders", [])]
            for name, options in sources
        },
    }


def _prompts(prompts: Sequence[Prompt]) -> str:
    """Changes with every token and every text, and with the order.

    Not with facts: a wrong answer that stopped a run is mended for it to go on.
    """
    return _digest(
        json.dumps([one.id, one.text, one.tokens.tolist()], sort_keys=True, default=repr).encode()
        for one in prompts
    )


def _digest(parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
