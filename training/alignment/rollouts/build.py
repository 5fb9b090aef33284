"""The source of rollouts that a configuration names."""

from collections.abc import Mapping
from typing import Any

import torch

from training.alignment.rollouts.protocol import RolloutSource
from training.alignment.rollouts.server import ServeSource, VllmSource
from training.alignment.rollouts.settings import ServerOptions, VllmOptions, parse_rollouts
from training.alignment.rollouts.transformers import TransformersSource


def build_rollouts(
    settings: Mapping[str, Any], *, policy: Any, tokenizer: Any, dtype: torch.dtype
) -> RolloutSource:
    """`policy` is the model (inside its scorer), `dtype` what the run computes in.

    Raises OptionError for wrong settings.
    """
    options = parse_rollouts(settings)
    if isinstance(options, VllmOptions):
        return VllmSource(options, tokenizer)
    if isinstance(options, ServerOptions):
        return ServeSource(options, tokenizer)
    return TransformersSource(policy, tokenizer, dtype=dtype, rows=options.rows)
