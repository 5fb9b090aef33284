"""Optimisers, learning rates and the randomness of a step; what both loops share."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from training.alignment.config import TrainingConfig


def make_optimizer(
    config: TrainingConfig, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimiser that the run asks for; the loop sets its learning rate before every step."""
    chosen, decay = list(parameters), config.weight_decay
    if config.optimizer == "rmsprop":
        # What DPO's authors train with: half the state of Adam.
        return torch.optim.RMSprop(chosen, lr=0.0, eps=config.adam_epsilon, weight_decay=decay)
    if config.optimizer == "adafactor":
        # Its state is a vector a row and a column instead of two numbers a weight.
        return torch.optim.Adafactor(chosen, lr=0.0, weight_decay=decay)
    if config.optimizer == "sgd":
        return torch.optim.SGD(chosen, lr=0.0, momentum=config.adam_beta1, weight_decay=decay)
    betas = (config.adam_beta1, config.adam_beta2)
    # Fused, an update reads and writes each weight once instead of a dozen times.
    return torch.optim.AdamW(
        chosen, lr=0.0, betas=betas, eps=config.adam_epsilon, weight_decay=decay, fused=True
    )


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """The rate at a step: its peak, `config.learning_rate`, times `share_of_peak`."""
    return config.learning_rate * share_of_peak(config, step, total)


def share_of_peak(config: TrainingConfig, step: int, total: int) -> float:
    """Linear warm-up to 1, then constant, falling to zero (linear, cosine), or as 1 / √step."""
    warmup = config.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "inverse_sqrt":
        return math.sqrt(max(1, warmup) / (step + 1))
    share = (step - warmup) / max(1, total - warmup)
    return 1.0 - share if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * share))


def seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout's randomness as a function of the step, so that a resumed run repeats it."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))
