"""Losses: pure functions of log-probabilities.

Notation: b examples in the batch; every log-probability is the sum over the tokens of one
completion, in nats, float32 or better. Losses come back per example, not reduced: weights, means
and gradient accumulation belong to the loop. Rewards come back detached, for logging.
"""

from training.alignment.losses.dpo import dpo_loss
from training.alignment.losses.kto import kto_loss, kto_reference_point
from training.alignment.losses.results import BinaryLoss, PairLoss, check_batch

__all__ = [
    "BinaryLoss",
    "PairLoss",
    "check_batch",
    "dpo_loss",
    "kto_loss",
    "kto_reference_point",
]
