"""DPO under other divergences than the reverse KL."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.alignment.losses.results import PairLoss, bradley_terry, pair_log_ratios

# exp of more overflows float32. Log-ratios of whole answers do reach -100.
EXPONENT_LIMIT = 80.0


def f_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    beta: float,
    divergence: str,
    alpha: float = 0.5,
) -> PairLoss:
    """DPO under an f-divergence (Wang et al. 2023, arXiv 2309.16240, eq. 7 and table 1).

    With d = log policy - log reference of an answer, u = exp(d) and f' the derivative of the
    divergence's generator, constants that cancel left out:

        loss = -log sigmoid(beta * f'(u_chosen) - beta * f'(u_rejected))

        reverse_kl      f' = d, which is DPO
        forward_kl      f' = -exp(-d)
        jensen_shannon  f' = log 2 - log(1 + exp(-d))
        alpha           f' = (1 - exp(-alpha * d)) / alpha, 0 < alpha < 1

    Exponents are cut at 80 so that float32 stays finite.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1], as in `dpo_loss`; None means 1.
        beta: > 0.
        divergence: reverse_kl, forward_kl, jensen_shannon or alpha.
        alpha: the paper's alpha; TRL's f_alpha_divergence_coef is 1 - alpha.

    Raises:
        ValueError: when the shapes differ or are not [b], or the divergence is unknown.
    """
    chosen, rejected = (
        beta * _generator_derivative(ratios, divergence, alpha)
        for ratios in pair_log_ratios(
            policy_chosen_logps,
            policy_rejected_logps,
            reference_chosen_logps,
            reference_rejected_logps,
        )
    )
    losses = bradley_terry(chosen - rejected, target_probabilities)
    return PairLoss(losses, chosen.detach(), rejected.detach())


def _generator_derivative(log_ratios: Tensor, divergence: str, alpha: float) -> Tensor:
    if divergence == "reverse_kl":
        return log_ratios
    if divergence == "forward_kl":
        return -torch.exp((-log_ratios).clamp(max=EXPONENT_LIMIT))
    if divergence == "jensen_shannon":
        return math.log(2.0) + logsigmoid(log_ratios)
    if divergence == "alpha":
        return -torch.expm1((-alpha * log_ratios).clamp(max=EXPONENT_LIMIT)) / alpha
    raise ValueError(
        f"divergence must be reverse_kl, forward_kl, jensen_shannon or alpha, not {divergence!r}"
    )
