"""Which of the library's options a run looks at."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from training.alignment.config import OFFLINE, ONLINE, TrainingConfig
from training.alignment.methods import Method
from training.alignment.options import Option, describe_options

LORA = ("lora_rank", "lora_alpha", "lora_dropout")
# Of what a model writes, which a reward model does not.
WRITING = ("sample_prompts", "sample_max_new_tokens", "step_sample_prompts")
# A snapshot's rows are whole, are chats, and tell where the prompt ends; the platform trains in one
# process.
NEVER = ("bad_rows", "chat_texts", "assistant_turns", "shard")


def online_options() -> list[str]:
    """Options that only a method which samples while it trains has a use for."""
    return [one.name for one in describe_options(TrainingConfig) if is_online(one)]


def is_online(option: Option) -> bool:
    return option.help.startswith(ONLINE)


def own_used(method: Method, given: Mapping[str, Any]) -> list[str]:
    """Of the method's own options those that a run looks at which is set as given, in order."""
    own = describe_options(method.hyperparameters)
    # An older run may lack some; what it holds is not checked again.
    values = SimpleNamespace(**{one.name: given.get(one.name, one.default) for one in own})
    return [one.name for one in own if one.used_when(values)]


def is_used(option: Option, method: Method, adapter: str) -> bool:
    """Whether a run of this method and adapter on a snapshot looks at the option."""
    name = option.name
    if name in LORA:
        return adapter == "lora"
    if name == "convert_data":
        return method.data == "demonstrations"
    if name == "score_zero":
        return method.trains == "reward"
    if name == "soft_labels":
        return method.soft_labels
    if name == "value_learning_rate":
        return method.needs_value_model
    if name in NEVER or (name in WRITING and method.trains == "reward"):
        return False
    return not option.help.startswith(OFFLINE if method.loop == "online" else ONLINE)
