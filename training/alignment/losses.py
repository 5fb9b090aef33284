"""Losses: pure functions of log-probabilities.

Notation: b examples in the batch; every log-probability is the sum over the tokens of one
completion, in nats, float32 or better. Losses come back per example, not reduced: weights, means
and gradient accumulation belong to the loop. Rewards come back detached, for logging.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class PairLoss(NamedTuple):
    """Per-pair losses and the detached implicit rewards of both sides, each of shape [b]."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


class BinaryLoss(NamedTuple):
    """Per-completion losses and detached implicit rewards, each of shape [b]."""

    losses: Tensor
    rewards: Tensor


def dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target_probabilities: Tensor | None = None,
    *,
    beta: float,
) -> PairLoss:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    With m = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected):

        loss = -log sigmoid(beta * m)

    With `target_probabilities` p, the probability that the first answer really is the better one,
    the loss is the cross-entropy p * -log sigmoid(beta * m) + (1 - p) * -log sigmoid(-beta * m):
    p = 1 is the paper's loss, p = 0.5 a tie, p = 1 - epsilon conservative DPO.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1]; None means 1.
        beta: strength of the pull towards the reference, > 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        reference_chosen_logps=reference_chosen_logps,
        reference_rejected_logps=reference_rejected_logps,
        target_probabilities=target_probabilities,
    )
    chosen_rewards = beta * (policy_chosen_logps - reference_chosen_logps.detach())
    rejected_rewards = beta * (policy_rejected_logps - reference_rejected_logps.detach())
    margins = chosen_rewards - rejected_rewards
    # Not softplus: torch's is cut off at 20, where the loss of a confident pair still has digits.
    losses = -logsigmoid(margins)
    if target_probabilities is not None:
        certain, doubt = target_probabilities, 1.0 - target_probabilities
        losses = certain * losses - doubt * logsigmoid(-margins)
    return PairLoss(losses, chosen_rewards.detach(), rejected_rewards.detach())


def kto_loss(
    policy_completion_logps: Tensor,
    reference_completion_logps: Tensor,
    labels: Tensor,
    reference_point: Tensor,
    *,
    beta: float,
    desirable_weight: float,
    undesirable_weight: float,
) -> BinaryLoss:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8).

    With r = policy - reference and z0 the reference point (see `kto_reference_point`):

        desirable:    loss = lambda_D * (1 - sigmoid(beta * (r - z0)))
        undesirable:  loss = lambda_U * (1 - sigmoid(beta * (z0 - r)))

    Args:
        policy_completion_logps: [b], with gradient.
        reference_completion_logps: [b], treated as constants.
        labels: [b], 1 for a desirable completion and 0 for an undesirable one.
        reference_point: scalar z0, treated as a constant.
        beta: how quickly value saturates, > 0.
        desirable_weight, undesirable_weight: the paper's lambda_D and lambda_U, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b], or z0 is not a scalar.
    """
    check_batch(
        policy_completion_logps=policy_completion_logps,
        reference_completion_logps=reference_completion_logps,
        labels=labels,
    )
    if reference_point.numel() != 1:
        raise ValueError(f"reference_point must be a scalar, not {tuple(reference_point.shape)}")
    log_ratios = policy_completion_logps - reference_completion_logps.detach()
    desirable = labels.to(log_ratios.dtype)
    signs = 2.0 * desirable - 1.0
    weights = desirable_weight * desirable + undesirable_weight * (1.0 - desirable)
    # 1 - sigmoid(x) = sigmoid(-x), which keeps its digits when x is large.
    losses = weights * torch.sigmoid(-beta * signs * (log_ratios - reference_point.detach()))
    return BinaryLoss(losses, (beta * log_ratios).detach())


def kto_reference_point(
    policy_mismatched_logps: Tensor, reference_mismatched_logps: Tensor
) -> dict[str, Tensor]:
    """KTO's z0 (arXiv 2402.01306, section 4.1): how far the policy has moved on average.

        z0 = max(0, mean over the batch of policy(y' | x) - reference(y' | x))

    where y' answers another prompt than x. Shapes [b]; the scalar that comes back is detached.
    """
    check_batch(
        policy_mismatched_logps=policy_mismatched_logps,
        reference_mismatched_logps=reference_mismatched_logps,
    )
    log_ratios = policy_mismatched_logps.detach() - reference_mismatched_logps.detach()
    return {"reference_point": log_ratios.mean().clamp(min=0.0)}


def check_batch(**tensors: Tensor | None) -> None:
    """Raise ValueError unless all given tensors have one and the same shape [b]."""
    shapes = {name: tuple(value.shape) for name, value in tensors.items() if value is not None}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"expected tensors of one shape [b], got {listed}")
