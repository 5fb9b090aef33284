"""Kahneman-Tversky optimisation: single answers marked good or bad."""

import torch
from torch import Tensor

from training.alignment.losses.results import BinaryLoss, check_batch


def kto_loss(
    policy_completion_logps: Tensor,
    reference_completion_logps: Tensor,
    *,
    labels: Tensor,
    reference_point: Tensor | float,
    beta: float,
    desirable_weight: float,
    undesirable_weight: float,
) -> BinaryLoss:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8).

    With r = policy - reference and z0 the reference point (as `**kto_reference_point(…)`):

        desirable:    loss = lambda_D * (1 - sigmoid(beta * (r - z0)))
        undesirable:  loss = lambda_U * (1 - sigmoid(beta * (z0 - r)))

    Args:
        policy_completion_logps: [b], with gradient.
        reference_completion_logps: [b], treated as constants.
        labels: [b], 1 for a desirable completion and 0 for an undesirable one.
        reference_point: scalar z0 in nats, a tensor or a number, treated as a constant.
        beta: how quickly value saturates, > 0.
        desirable_weight, undesirable_weight: the paper's lambda_D and lambda_U, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b], a label is neither 0 nor 1, or z0 is not
            a scalar.
    """
    check_batch(
        policy_completion_logps=policy_completion_logps,
        reference_completion_logps=reference_completion_logps,
        labels=labels,
    )
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels must be 1 (desirable) or 0 (undesirable)")
    log_ratios = policy_completion_logps - reference_completion_logps.detach()
    point = torch.as_tensor(reference_point, dtype=log_ratios.dtype, device=log_ratios.device)
    if point.numel() != 1:
        raise ValueError(f"reference_point must be a scalar, not {tuple(point.shape)}")
    desirable = labels.to(log_ratios.dtype)
    signs = 2.0 * desirable - 1.0
    weights = desirable_weight * desirable + undesirable_weight * (1.0 - desirable)
    # 1 - sigmoid(x) = sigmoid(-x), which keeps its digits when x is large.
    losses = weights * torch.sigmoid(-beta * signs * (log_ratios - point.detach()))
    return BinaryLoss(losses, (beta * log_ratios).detach())


def kto_reference_point(
    policy_mismatched_logps: Tensor, reference_mismatched_logps: Tensor
) -> dict[str, Tensor]:
    """KTO's z0 (arXiv 2402.01306, section 4.1): how far the policy has moved on average.

        z0 = max(0, mean over the batch of policy(y' | x) - reference(y' | x))

    where y' answers another prompt than x.

    Args:
        policy_mismatched_logps, reference_mismatched_logps: [b]; no gradient comes back.

    Returns:
        reference_point, a scalar, by the name that `kto_loss` has for it.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_mismatched_logps=policy_mismatched_logps,
        reference_mismatched_logps=reference_mismatched_logps,
    )
    log_ratios = policy_mismatched_logps.detach() - reference_mismatched_logps.detach()
    return {"reference_point": log_ratios.mean().clamp(min=0.0)}
