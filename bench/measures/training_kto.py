"""KTO on SmolLM2 against TRL, whose estimate of z0 gets our mismatched answers."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare


def run() -> dict[str, object]:
    return {"bfloat16": compare(Case("bfloat16", "kto"))}
