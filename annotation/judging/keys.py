"""What names a call, and the unguessable delimiter made of that name."""

from __future__ import annotations

import hashlib
import hmac

from annotation.judging.exchange import Chain
from core.canonical_json import digest

NONCE_LENGTH = 20


def call_key(
    *, judge_key: str, content_hash: str, chain: Chain, purpose: str, attempt: int = 1
) -> str:
    """SHA-256 of what is asked of whom, never of the rendered text, which depends on the nonce.

    `purpose` has its stage ("judge/verdict"); `judge_key` stands for model, protocol, template and
    settings. Another judge, content, order, sample, purpose, stage or attempt is another key.
    """
    return digest(
        {
            "judge": judge_key,
            "content": content_hash,
            "shown_order": list(chain.shown_order),
            "sample": chain.sample,
            "purpose": purpose,
            "attempt": attempt,
        }
    )


def nonce(secret: bytes, key: str) -> str:
    """HMAC-SHA256 of a chain's key: unguessable to who wrote a response, the same on a retry."""
    if not secret:
        raise ValueError("secret: empty, so anybody could guess the delimiters")
    return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()[:NONCE_LENGTH]
