"""GRPO and RLOO on SmolLM2 against TRL: a step of sampling, scoring and one update."""

from __future__ import annotations

from bench.training.cases import OnlineCase
from bench.training.compare_online import compare_online

# What popular code does, so that the losses are the same: the mean over all tokens and a corrected
# KL in GRPO, a clip of whole answers in RLOO.
GRPO = {"beta": 0.04, "kl_estimator": "k3_corrected", "reduction": "token"}
RLOO = {"beta": 0.05, "objective": "sequence_clip"}

CASES = {
    "grpo": OnlineCase("grpo", GRPO, dtype="float32"),
    "rloo": OnlineCase("rloo", RLOO, dtype="float32"),
    "grpo_bfloat16": OnlineCase("grpo", GRPO),
    "rloo_bfloat16": OnlineCase("rloo", RLOO),
}


def run(case: str) -> dict[str, object]:
    return compare_online(CASES[case])
