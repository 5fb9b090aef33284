"""Which of the library's options a run looks at."""

from __future__ import annotations

from training.alignment.config import TrainingConfig
from training.alignment.methods import Method
from training.alignment.options import Option, describe_options

LORA = ("lora_rank", "lora_alpha", "lora_dropout")
# How the library marks the options of the online loop.
ONLINE = "Online: "


def online_options() -> list[str]:
    """Options that only a method which samples while it trains has a use for."""
    return [one.name for one in describe_options(TrainingConfig) if is_online(one)]


def is_online(option: Option) -> bool:
    return option.help.startswith(ONLINE)


def is_used(option: Option, method: Method, adapter: str) -> bool:
    """Whether a run of this method and adapter on a snapshot looks at the option."""
    if option.name in LORA:
        return adapter == "lora"
    if option.name == "convert_data":
        return method.data == "demonstrations"
    if option.name in ("bad_rows", "chat_texts"):
        # A snapshot's rows are whole, and are chats.
        return False
    if option.name == "score_zero":
        return method.trains == "reward"
    if option.name == "soft_labels":
        return method.data == "pairs"
    return method.loop == "online" or not is_online(option)
