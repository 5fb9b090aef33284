"""The source of rollouts that a configuration names. Imports without torch.

Settings: {"kind": "transformers", "rows": 32}; nothing at all is transformers in this process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.alignment.options import OptionError, option, parse_options
from training.alignment.rollouts.protocol import RolloutSource

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TransformersOptions:
    """The policy in memory samples."""

    kind: str = option("transformers", help="What samples.")
    rows: int = option(32, help="Answers written at a time.", min=1, max=4096)


KINDS: Mapping[str, type[Any]] = {"transformers": TransformersOptions}


def parse_rollouts(settings: Mapping[str, Any]) -> Any:
    """The source's options; raises OptionError naming what is wrong."""
    kind = settings.get("kind", "transformers")
    if kind not in KINDS:
        raise OptionError("rollout_source.kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    try:
        return parse_options(KINDS[kind], settings)
    except OptionError as error:
        raise OptionError(f"rollout_source.{error.name}", error.problem) from error


def build_rollouts(
    settings: Mapping[str, Any], *, policy: Any, tokenizer: Any, dtype: "torch.dtype"
) -> RolloutSource:
    """`policy` is the model (inside its scorer), `dtype` what the run computes in."""
    options = parse_rollouts(settings)
    from training.alignment.rollouts.transformers import TransformersSource

    return TransformersSource(policy, tokenizer, dtype=dtype, rows=options.rows)
