"""A Bradley-Terry reward model on SmolLM2 against TRL, both from the same new head."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare


def run() -> dict[str, object]:
    return {"bfloat16": compare(Case("bfloat16", "reward_bradley_terry"))}
