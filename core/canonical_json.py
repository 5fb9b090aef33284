"""One spelling for equal values, so that hashes can be compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, text as it is (no normalisation), no NaN."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def canonical_line(value: Any) -> bytes:
    """As a line of a JSONL file."""
    return canonical(value).encode() + b"\n"


def digest(value: Any) -> str:
    return digest_of_text(canonical(value))


def digest_of_text(text: str) -> str:
    """Of what `canonical` gave."""
    return hashlib.sha256(text.encode()).hexdigest()
