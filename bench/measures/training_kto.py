"""KTO on SmolLM2 against TRL, whose estimate of z0 gets our mismatched answers."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare

CASES = {"bfloat16": Case("kto", batch=2), "float32": Case("kto", dtype="float32", batch=2)}


def run(case: str) -> dict[str, object]:
    return compare(CASES[case])
