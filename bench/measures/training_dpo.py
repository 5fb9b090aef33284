"""DPO on SmolLM2 against TRL: bfloat16, float32, LoRA and long prompts.

The slow ones take fewer pairs a step, for three rounds of both sides last half an hour as it is.
LoRA and long prompts are timed in bfloat16; their float32 twins are not timed and only tell whether
both sides train the same thing.
"""

from __future__ import annotations

from bench.training.cases import Case
from bench.training.compare import agree, compare

CASES = {
    "bfloat16": Case("dpo"),
    "float32": Case("dpo", dtype="float32", batch=2),
    "lora": Case("dpo", adapter="lora"),
    "lora_float32": Case("dpo", dtype="float32", adapter="lora", timed=False),
    "long_prompts": Case("dpo", data="long", batch=1),
    "long_prompts_float32": Case("dpo", dtype="float32", data="long", batch=1, timed=False),
}


def run(case: str) -> dict[str, object]:
    one = CASES[case]
    return compare(one) if one.timed else agree(one)
