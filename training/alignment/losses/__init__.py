"""Losses: pure functions of log-probabilities (of scores, where a reward model is trained).

Notation: b examples in the batch; every log-probability is the sum over the tokens of one
completion, in nats, float32 or better. Log-probabilities and scores come first, in the order of the
names; all else is given by name. A target probability outside [0, 1] is refused; the mean of an
empty answer's tokens is 0. Losses come back per example, not reduced: weights, means and
gradient accumulation belong to the loop. Rewards come back detached, for logging.

The losses of policies that sample while they train are of tokens: see `policy_gradient`.
"""

from training.alignment.losses.beta_dpo import beta_dpo_loss, beta_dpo_statistic
from training.alignment.losses.convex import gpo_loss, ipo_loss, rso_loss
from training.alignment.losses.demonstrations import sft_loss, sft_sequence_loss
from training.alignment.losses.dpo import (
    cdpo_loss,
    dpo_loss,
    dpop_loss,
    r_dpo_loss,
    robust_dpo_loss,
)
from training.alignment.losses.f_divergence import f_dpo_loss
from training.alignment.losses.kto import kto_loss, kto_reference_point
from training.alignment.losses.plackett_luce import plackett_luce_loss
from training.alignment.losses.policy_gradient import (
    grpo_loss,
    ppo_loss,
    ptx_loss,
    reinforce_loss,
    rloo_loss,
)
from training.alignment.losses.reference_free import (
    cpo_loss,
    orpo_loss,
    simpo_loss,
    slic_hf_loss,
)
from training.alignment.losses.results import (
    BinaryLoss,
    DemonstrationLoss,
    ListLoss,
    PairLoss,
    check_batch,
    check_lists,
)
from training.alignment.losses.reward_models import (
    all_pairs_loss,
    bradley_terry_loss,
    position_debiased_probabilities,
    soft_label_reward_loss,
)

__all__ = [
    "BinaryLoss",
    "DemonstrationLoss",
    "ListLoss",
    "PairLoss",
    "all_pairs_loss",
    "beta_dpo_loss",
    "beta_dpo_statistic",
    "bradley_terry_loss",
    "cdpo_loss",
    "check_batch",
    "check_lists",
    "cpo_loss",
    "dpo_loss",
    "dpop_loss",
    "f_dpo_loss",
    "gpo_loss",
    "grpo_loss",
    "ipo_loss",
    "kto_loss",
    "kto_reference_point",
    "orpo_loss",
    "plackett_luce_loss",
    "position_debiased_probabilities",
    "ppo_loss",
    "ptx_loss",
    "r_dpo_loss",
    "reinforce_loss",
    "rloo_loss",
    "robust_dpo_loss",
    "rso_loss",
    "sft_loss",
    "sft_sequence_loss",
    "simpo_loss",
    "slic_hf_loss",
    "soft_label_reward_loss",
]
