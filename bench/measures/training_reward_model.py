"""A Bradley-Terry reward model on SmolLM2 against TRL, both from the same new head."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare

CASES = {
    "bfloat16": Case("reward_bradley_terry", batch=2),
    "float32": Case("reward_bradley_terry", dtype="float32", batch=2),
}


def run(case: str) -> dict[str, object]:
    return compare(CASES[case])
