"""The models of one run, in the precision that the run asks for."""

from typing import Any

import torch

from training.alignment.config import TrainingConfig
from training.alignment.log_probs import CompletionScorer, check_projection
from training.alignment.models import add_lora, disable_dropout, load_model


def load_policy(config: TrainingConfig, device: torch.device) -> CompletionScorer:
    """The model to train: all weights in float32, or a frozen base with a LoRA adapter."""
    policy: Any = load_model(config.base_model, dtype=weight_dtype(config), device=device)
    check_projection(policy, device)
    disable_dropout(policy)
    if config.adapter == "lora":
        torch.manual_seed(config.seed)
        policy = add_lora(
            policy, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout
        )
    if config.gradient_checkpointing:
        policy.activation_checkpointing_enable({"use_reentrant": False})
    return CompletionScorer(policy, compute_dtype(config))


def load_scorer(config: TrainingConfig, folder: str, device: torch.device) -> CompletionScorer:
    """A model that scores, without gradient, in the same precision as the policy does."""
    # Its parameters stay marked for gradients: autocast keeps the low-precision copies of no other.
    model = load_model(folder, dtype=weight_dtype(config), device=device)
    return CompletionScorer(model, compute_dtype(config))


def weight_dtype(config: TrainingConfig) -> torch.dtype:
    """Weights that are trained stay float32, for small updates vanish in bfloat16."""
    return torch.float32 if config.adapter == "full" else compute_dtype(config)


def compute_dtype(config: TrainingConfig) -> torch.dtype:
    """What matrix products compute in."""
    return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
