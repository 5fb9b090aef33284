"""DPO on SmolLM2 against TRL: bfloat16, float32, LoRA and long prompts."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare

CASES = (
    Case("bfloat16", "dpo"),
    Case("float32", "dpo", dtype="float32"),
    Case("lora", "dpo", adapter="lora"),
    Case("long_prompts", "dpo", data="long"),
)


def run() -> dict[str, object]:
    return {case.name: compare(case) for case in CASES}
