"""Recipes: runs that follow one another, each from what the one before left. Imports without torch.

stages = rlhf(base, demonstrations="demonstrations.jsonl", preferences="pairs.jsonl")
for stage in stages:
    train.run(stage.config)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from training.alignment.config import TrainingConfig
from training.alignment.methods import get_method

REWARD = "reward_model"


@dataclass(frozen=True)
class Stage:
    """One run of a recipe; its folder lies in the recipe's."""

    name: Literal["sft", "reward", "ppo"]
    config: TrainingConfig

    @property
    def model(self) -> Path:
        """Where the run leaves its model."""
        return Path(self.config.output_dir) / "model"


def rlhf(
    base: TrainingConfig,
    *,
    demonstrations: str,
    preferences: str,
    prompts: str | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Stage, Stage, Stage]:
    """RLHF in three stages (Ouyang et al. 2022, arXiv 2203.02155, section 3.1), from one run.

    1. A policy learns from demonstrations, starting from the base model.
    2. A reward model learns from preferences, starting from 1's model.
    3. PPO trains 1's model against 2's, which is also where the value model starts; the reference
       is 1's model.

    Each stage takes from `base` what is not about one method: model, device, precision, adapter,
    lengths, seed, batch size. Learning rate, schedule and steps are the stage's own method's; a
    stage's `changes` come last. Demonstrations may be pairs, of which the chosen side is taken.

    Args:
        base: where the model, the limits and the recipe's folder come from.
        demonstrations, preferences: JSONL files for stages 1 and 2.
        prompts: those of stage 3; the preferences' when left out.
        changes: settings by stage (sft, reward, ppo), `method` among them.

    Raises:
        OptionError: when a stage's settings do not fit together, naming the key.
    """
    own, folder = changes or {}, Path(base.output_dir)
    shared = {name: value for name, value in asdict(base).items() if name in _SHARED}
    sft = _stage("sft", "sft", shared, folder / "1-sft", demonstrations, own, convert_data=True)
    start = {**shared, "base_model": str(sft.model), "start_adapter": None}
    reward = _stage("reward", "reward_bradley_terry", start, folder / "2-reward", preferences, own)
    ppo = _stage(
        "ppo",
        "ppo",
        start,
        folder / "3-ppo",
        prompts or preferences,
        own,
        value_model=str(reward.model),
        reward_sources={REWARD: {"kind": REWARD, "folders": [str(reward.model)], "weight": 1.0}},
    )
    return sft, reward, ppo


# What one answer for all stages is right for.
_SHARED = frozenset(
    {
        *("base_model", "start_adapter", "held_out_file", "seed", "device", "dtype"),
        *("adapter", "lora_rank", "lora_alpha", "lora_dropout", "gradient_checkpointing"),
        *("batch_size", "gradient_accumulation", "max_length", "max_prompt_length"),
        *("truncation_side", "checkpoint_every", "evaluate_every", "evaluation_limit"),
        *("prompts_per_step", "samples_per_prompt", "max_new_tokens", "temperature", "kl_budget"),
        *("rollout_source", "missing_end_penalty"),
    }
)


def _stage(
    name: Literal["sft", "reward", "ppo"],
    method: str,
    shared: Mapping[str, Any],
    folder: Path,
    train_file: str,
    changes: Mapping[str, Mapping[str, Any]],
    **settings: Any,
) -> Stage:
    mine = {"method": method, **changes.get(name, {})}
    values = {
        **shared,
        **get_method(str(mine["method"])).defaults,
        "train_file": train_file,
        "output_dir": str(folder),
        **settings,
        **mine,
    }
    return Stage(name, TrainingConfig.from_dict(values))
