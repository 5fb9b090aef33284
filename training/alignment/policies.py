"""The models of one run, in the precision that the run asks for.

Training starts from `base_model`, with `start_adapter` on it where one is given. Unless
`reference_model` names another model, the reference is what training starts from, adapter
included; it is never the bare base behind an adapter.

A LoRA run in bfloat16 holds its frozen base in bfloat16, also of a float32 folder: policy and
reference are both the rounded model, as products in bfloat16 would round it anyway. What is saved
has the folder's own weights (`as_saved`).
"""

from dataclasses import replace
from typing import Any

import torch

from training.alignment.config import TrainingConfig
from training.alignment.log_probs import CompletionScorer, check_projection
from training.alignment.models import (
    add_lora,
    disable_dropout,
    load_lora,
    load_model,
    merge_lora,
    set_lora_dropout,
)
from training.alignment.objective import Objective
from training.alignment.reward_model import RewardScorer, load_reward_model

Trainee = CompletionScorer | RewardScorer


def load_trainee(config: TrainingConfig, objective: Objective, device: torch.device) -> Trainee:
    """What the offline loop trains: a policy, or a reward model where the method asks for one."""
    load = load_reward if objective.trains_rewards else load_policy
    return load(config, device)


def load_policy(config: TrainingConfig, device: torch.device) -> CompletionScorer:
    """The model to train: all weights in float32, or a frozen base with a LoRA adapter."""
    policy: Any = load_model(config.base_model, dtype=weight_dtype(config), device=device)
    check_projection(policy, device)
    policy = _prepared(config, policy, "CAUSAL_LM")
    return CompletionScorer(policy, compute_dtype(config))


def load_reward(config: TrainingConfig, device: torch.device) -> RewardScorer:
    """The reward model to train: the base with a new scalar head, or with its own if it has one."""
    model: Any = load_reward_model(
        config.base_model, dtype=weight_dtype(config), device=device, seed=config.seed
    )
    return RewardScorer(_prepared(config, model, "SEQ_CLS"), compute_dtype(config))


def load_scorer(
    config: TrainingConfig,
    folder: str,
    device: torch.device,
    adapter: str | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> CompletionScorer:
    """A model that scores, without gradient, in the same precision as the policy does.

    `dtype` of its weights and products is the policy's when left out. An evaluation gives float32:
    a trained model's folder holds updates that bfloat16 would round away, and products in bfloat16
    move an answer's log-probability by as much as a short run does.
    """
    computed = dtype or compute_dtype(config)
    dtype = dtype or weight_dtype(config)
    # Its parameters stay marked for gradients: autocast keeps the low-precision copies of no other.
    model = load_model(folder, dtype=dtype, device=device)
    check_projection(model, device)
    if adapter is not None:
        model = load_lora(model, adapter)
        # A policy in bfloat16 has its adapter beside its weights, which rounds otherwise.
        model = merge_lora(model) if dtype is torch.float32 else model
    return CompletionScorer(model, computed)


def weight_dtype(config: TrainingConfig) -> torch.dtype:
    """Weights that are trained stay float32, for small updates vanish in bfloat16."""
    return torch.float32 if config.adapter == "full" else compute_dtype(config)


def compute_dtype(config: TrainingConfig) -> torch.dtype:
    """What matrix products compute in."""
    return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32


@torch.no_grad()
def as_saved(config: TrainingConfig, module: Trainee) -> Trainee:
    """The trained module with a frozen base in its folder's precision, in float32 on the CPU.

    The base that a LoRA run in bfloat16 computes with is rounded: kept for good, that would undo
    the small updates of a former run. Any other module is returned as it is.
    """
    if weight_dtype(config) is torch.float32:
        return module
    load = load_reward if isinstance(module, RewardScorer) else load_policy
    copy = load(replace(config, dtype="float32"), torch.device("cpu"))
    trained = dict(module.named_parameters())
    for name, parameter in copy.named_parameters():
        if parameter.requires_grad:
            parameter.copy_(trained[name])
    return copy


def _prepared(config: TrainingConfig, model: Any, task: str) -> Any:
    """The loaded model with dropout off and the adapter that is trained, or merged, on it."""
    disable_dropout(model)
    is_lora, start = config.adapter == "lora", config.start_adapter
    # A scalar head is trained whole, which an adapter made for text does not provide for.
    goes_on = start is not None and is_lora and task == "CAUSAL_LM"
    if start is not None:
        model = load_lora(model, start, trainable=goes_on)
        if goes_on:
            set_lora_dropout(model, config.lora_dropout)
        else:
            model = merge_lora(model)
    if is_lora and not goes_on:
        torch.manual_seed(config.seed)
        model = add_lora(
            model,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            task=task,
        )
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model
