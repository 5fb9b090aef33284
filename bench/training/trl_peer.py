"""`python trl_peer.py CASE.json`: TRL's trainer on the same tokens, its steps timed.

Runs in an environment of its own and imports nothing of ours but the clock. The setting is the best
that TRL 1.16 documents: reference log-probabilities precomputed before the first step, no
checkpointing, fused AdamW, batches already grouped by length (what `group_by_length` would make,
in the order that both sides share; `padding_free` only warns and pads in this version).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from clock import StepClock  # type: ignore[import-not-found]
from datasets import Dataset, load_from_disk  # type: ignore[import-not-found]
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl import (  # type: ignore[import-not-found]
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    RewardConfig,
    RewardTrainer,
)

warnings.filterwarnings("ignore")

KINDS = {
    "dpo": (DPOConfig, DPOTrainer),
    "kto": (KTOConfig, KTOTrainer),
    "reward_bradley_terry": (RewardConfig, RewardTrainer),
}


class Told(TrainerCallback):
    """Hands every step's loss to the clock."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
        if logs and "loss" in logs:
            self.clock.tick(float(logs["loss"]), logs)


def dataset(case: dict[str, Any]) -> Any:
    """The rows in a folder, where TRL keeps the reference's log-probabilities from run to run."""
    if not Path(case["data"]).exists():
        Dataset.from_list(columns(case["method"], case["rows"])).save_to_disk(case["data"])
    return load_from_disk(case["data"])


def columns(method: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tokens under the names that TRL's collators read."""
    if method == "dpo":
        return [_only(row, "prompt", "chosen", "rejected") for row in rows]
    if method == "kto":
        return [
            _only(row, "prompt", "completion")
            | {"KL_completion_ids": row["mismatched_ids"], "label": row["label"]}
            for row in rows
        ]
    return [
        {f"{side}_ids": row["prompt_ids"] + row[f"{side}_ids"] for side in ("chosen", "rejected")}
        for row in rows
    ]


def _only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {f"{name}_ids": row[f"{name}_ids"] for name in names}


def main() -> None:
    case = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(case["threads"])
    config_class, trainer_class = KINDS[case["method"]]

    class Prepared(trainer_class):  # type: ignore[misc, valid-type]
        """Takes the tokens as they are, so that both sides read the same ones."""

        def _prepare_dataset(self, dataset: Any, *arguments: Any, **options: Any) -> Any:
            return dataset

    is_reward = case["method"] == "reward_bradley_terry"
    is_lora, is_low = case["adapter"] == "lora", case["dtype"] == "bfloat16"
    options = {} if is_reward else {"precompute_ref_log_probs": True, "beta": 0.1}
    settings = config_class(
        output_dir=case["output_dir"],
        per_device_train_batch_size=case["batch_size"],
        gradient_accumulation_steps=1,
        max_steps=case["max_steps"],
        learning_rate=case["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=is_low,
        gradient_checkpointing=False,
        use_cpu=case["device"] == "cpu",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        train_sampling_strategy="sequential",
        seed=0,
        max_length=1024,
        **options,
    )
    loader = AutoModelForSequenceClassification if is_reward else AutoModelForCausalLM
    model = loader.from_pretrained(
        case["base_model"], dtype=torch.bfloat16 if is_lora and is_low else torch.float32
    )
    clock = StepClock()
    trainer = Prepared(
        model=model,
        args=settings,
        train_dataset=dataset(case),
        processing_class=AutoTokenizer.from_pretrained(case["base_model"]),
        callbacks=[Told(clock)],
        **({"peft_config": _lora(is_reward)} if is_lora else {}),
    )
    trainer.train()
    clock.write(Path(case["figures"]))


def _lora(is_reward: bool) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=16,
        lora_alpha=32,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="SEQ_CLS" if is_reward else "CAUSAL_LM",
    )


if __name__ == "__main__":
    main()
