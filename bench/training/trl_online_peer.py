"""`python trl_online_peer.py CASE.json`: TRL's GRPO or RLOO on the same prompts, its steps timed.

Runs in TRL's environment. The setting is the best that TRL 1.16 documents without vLLM: one
generation batch a step, which is trained as one batch; no checkpointing; fused AdamW; sampling by
transformers' generate. With `answers` in the case these are learned from instead of sampled ones,
so that losses can be compared.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from clock import StepClock  # type: ignore[import-not-found]
from datasets import Dataset  # type: ignore[import-not-found]
from reward import vowels  # type: ignore[import-not-found]
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # type: ignore[import-not-found]
from trl_peer import Told  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")

KINDS: dict[str, Any] = {
    # TRL's own defaults: the mean over all tokens, and a KL whose gradient is unbiased.
    "grpo": (GRPOConfig, GRPOTrainer, {"loss_type": "dapo", "use_bias_correction_kl": True}),
    "rloo": (RLOOConfig, RLOOTrainer, {}),
}


def timed(kind: Any, case: dict[str, Any]) -> Any:
    """TRL's trainer, which also says how long a step generated, scored and trained."""

    class Timed(kind):  # type: ignore[misc]
        spent: dict[str, float] = {}
        generations = 0

        def _generate_single_turn(self, prompt_ids: Any, *others: Any, **options: Any) -> Any:
            began = time.perf_counter()
            if "answers" in case:
                found = self._given(prompt_ids)
            else:
                found = super()._generate_single_turn(prompt_ids, *others, **options)
            self.spent["generate"] = time.perf_counter() - began
            return found

        def _given(self, prompt_ids: Any) -> Any:
            step = case["answers"][self.generations]
            self.generations += 1
            if [list(ids) for ids in prompt_ids] != step["prompts"]:
                raise ValueError("The two sides do not read the same prompts.")
            return (step["completions"], None) if case["method"] == "grpo" else step["completions"]

        def _prepare_inputs(self, batch: Any) -> Any:
            began = time.perf_counter()
            prepared = super()._prepare_inputs(batch)
            self.spent["score"] = time.perf_counter() - began - self.spent["generate"]
            return prepared

        def log(self, logs: dict[str, float], *others: Any) -> None:
            spent = {f"seconds_{name}": seconds for name, seconds in self.spent.items()}
            super().log({**logs, **spent}, *others)

    return Timed


def main() -> None:
    case = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(case["threads"])
    config_class, trainer_class, options = KINDS[case["method"]]
    settings = config_class(
        output_dir=case["output_dir"],
        per_device_train_batch_size=case["prompts_per_step"] * case["samples_per_prompt"],
        gradient_accumulation_steps=1,
        num_generations=case["samples_per_prompt"],
        max_completion_length=case["max_new_tokens"],
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        beta=case["beta"],
        max_steps=case["max_steps"],
        learning_rate=case["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=case["dtype"] == "bfloat16",
        gradient_checkpointing=False,
        use_cpu=case["device"] == "cpu",
        shuffle_dataset=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
        **options,
    )
    clock = StepClock()
    trainer = timed(trainer_class, case)(
        model=AutoModelForCausalLM.from_pretrained(case["base_model"], dtype=torch.float32),
        reward_funcs=[reward],
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in case["prompts"]]),
        processing_class=AutoTokenizer.from_pretrained(case["base_model"]),
        callbacks=[Told(clock)],
    )
    trainer.train()
    clock.write(Path(case["figures"]))


def reward(completions: list[list[dict[str, str]]], **others: Any) -> list[float]:
    return [vowels(None, answer[0]["content"], {}) for answer in completions]


if __name__ == "__main__":
    main()
