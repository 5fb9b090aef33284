"""Against TRL on a GPU, with a model of a billion weights; left out where no GPU is.

DPO in bfloat16 with float32 weights, with an adapter, on long prompts; KTO, the reward model, and
GRPO with sampling by transformers on both sides. TRL takes the batches that are its best on a GPU,
too: of similar length, whole in one pass.
"""

from __future__ import annotations

from functools import partial

import torch

from bench.measures.training_online import GRPO
from bench.training.cases import Case, OnlineCase
from bench.training.compare import agree, compare
from bench.training.compare_online import compare_online

_on_gpu = partial(Case, batch=16, model="llama_1b", device="cuda")
_online = partial(OnlineCase, model="llama_1b", device="cuda")
CASES: dict[str, Case | OnlineCase] = {
    "dpo": _on_gpu("dpo"),
    "dpo_float32": _on_gpu("dpo", dtype="float32", timed=False),
    "lora": _on_gpu("dpo", adapter="lora"),
    "long_prompts": _on_gpu("dpo", data="long"),
    "kto": _on_gpu("kto"),
    "reward_model": _on_gpu("reward_bradley_terry"),
    "grpo": _online("grpo", GRPO, prompts=8, samples=8, max_new_tokens=128),
}


def lacking() -> str | None:
    """Why nothing can be measured here."""
    return None if torch.cuda.is_available() else "no CUDA GPU"


def run(case: str) -> dict[str, object]:
    one = CASES[case]
    if isinstance(one, OnlineCase):
        figures = compare_online(one)
    else:
        figures = compare(one) if one.timed else agree(one)
    return {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, **figures}
