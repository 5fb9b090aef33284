"""How long a sequence a model takes, as its config.json tells. Imports without torch."""

from collections.abc import Mapping
from typing import Any

_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len")


def known_positions(values: Mapping[str, Any]) -> int | None:
    """Tokens of the longest sequence, of a transformers config; None where it does not say."""
    values = values.get("text_config") or values
    return next((int(values[name]) for name in _NAMES if isinstance(values.get(name), int)), None)
