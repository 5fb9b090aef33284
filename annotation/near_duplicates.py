"""Which prompts are nearly the same text. For now: those whose words are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def bands(text: str) -> tuple[int, ...]:
    digest = hashlib.sha256(" ".join(text.lower().split()).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 1,)


def bands_of_many(texts: Sequence[str]) -> list[tuple[int, ...]]:
    return [bands(text) for text in texts]


def side_of(key: str, held_out_share: float = 0.1) -> str:
    """The same side for the same key, for ever."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return "held_out" if number < held_out_share * 2**64 else "train"
