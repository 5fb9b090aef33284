"""DPO on SmolLM2 against TRL: bfloat16, float32, LoRA and long prompts."""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import compare

CASES = {
    "bfloat16": Case("dpo"),
    "float32": Case("dpo", dtype="float32"),
    "lora": Case("dpo", adapter="lora"),
    "long_prompts": Case("dpo", data="long", batch=2),
}


def run(case: str) -> dict[str, object]:
    return compare(CASES[case])
