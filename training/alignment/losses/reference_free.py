"""Pairs without a reference model: SLiC-HF, ORPO, SimPO, CPO."""

import math

import torch
from torch import Tensor
from torch.nn.functional import relu

from training.alignment.losses.results import PairLoss, bradley_terry, check_batch

# A probability of 1 has infinite odds; this is the largest mean log-probability that counts.
LARGEST_MEAN = -1e-6


def slic_hf_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    *,
    delta: float,
    regularisation_weight: float,
) -> PairLoss:
    """SLiC-HF (Zhao et al. 2023, arXiv 2305.10425, eq. 1), the chosen answer as the SFT target.

        loss = max(0, delta - policy_chosen + policy_rejected) - lambda * policy_chosen

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        delta: the margin asked for, in nats, >= 0.
        regularisation_weight: the paper's lambda, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps, policy_rejected_logps=policy_rejected_logps
    )
    calibration = relu(delta - policy_chosen_logps + policy_rejected_logps)
    losses = calibration - regularisation_weight * policy_chosen_logps
    return PairLoss(losses, policy_chosen_logps.detach(), policy_rejected_logps.detach())


def orpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    policy_text_logps: Tensor | None = None,
    text_lengths: Tensor | None = None,
    *,
    odds_ratio_weight: float,
) -> PairLoss:
    """Odds ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691, eqs. 3 to 7).

    With l the mean log-probability of a token and odds(l) = exp(l) / (1 - exp(l)):

        loss = -l_chosen + lambda * -log sigmoid(log odds(l_chosen) - log odds(l_rejected))

    The likelihood term is over the completion. With `policy_text_logps` it is over prompt and
    chosen answer, policy_text / |text|, as the authors' code has it unless told otherwise.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths, rejected_lengths: [b] tokens.
        policy_text_logps, text_lengths: [b] of prompt and chosen answer, their first token apart.
        odds_ratio_weight: the paper's lambda, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = _means(
        policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths
    )
    odds_ratio = _log_odds(chosen) - _log_odds(rejected)
    likelihood = chosen
    if policy_text_logps is not None:
        if text_lengths is None:
            raise ValueError("policy_text_logps needs text_lengths")
        check_batch(policy_text_logps=policy_text_logps, text_lengths=text_lengths)
        likelihood = policy_text_logps / text_lengths
    losses = -likelihood + odds_ratio_weight * bradley_terry(odds_ratio)
    weight = odds_ratio_weight
    return PairLoss(losses, (weight * chosen).detach(), (weight * rejected).detach())


def simpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    *,
    beta: float,
    gamma_beta_ratio: float,
) -> PairLoss:
    """SimPO (Meng et al. 2024, arXiv 2405.14734, eq. 6), gamma = beta * gamma_beta_ratio.

        loss = -log sigmoid(beta * policy_chosen / |chosen|
                            - beta * policy_rejected / |rejected| - gamma)

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths, rejected_lengths: [b] tokens.
        beta: scale of the length-normalised reward, > 0.
        gamma_beta_ratio: the target margin over beta, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = _means(
        policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths
    )
    losses = bradley_terry(beta * (chosen - rejected - gamma_beta_ratio))
    return PairLoss(losses, (beta * chosen).detach(), (beta * rejected).detach())


def cpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    *,
    beta: float,
    nll_weight: float,
    nll: str = "summed",
) -> PairLoss:
    """Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417, eqs. 4 to 6).

        loss = -log sigmoid(beta * (policy_chosen - policy_rejected)) + nll_weight * NLL

    NLL is -policy_chosen ("summed", the paper's) or -policy_chosen / |chosen| ("token_mean").

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths: [b] tokens.
        beta: > 0.
        nll_weight: 1 in the paper, >= 0.
        nll: "summed" or "token_mean".

    Raises:
        ValueError: when the shapes differ or are not [b], or `nll` is unknown.
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        chosen_lengths=chosen_lengths,
    )
    if nll not in ("summed", "token_mean"):
        raise ValueError(f"nll must be summed or token_mean, not {nll!r}")
    anchor = policy_chosen_logps if nll == "summed" else policy_chosen_logps / chosen_lengths
    preference = bradley_terry(beta * (policy_chosen_logps - policy_rejected_logps))
    return PairLoss(
        preference - nll_weight * anchor,
        (beta * policy_chosen_logps).detach(),
        (beta * policy_rejected_logps).detach(),
    )


def log1mexp(values: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0 without cancellation (Maechler 2012), gradients included."""
    split = -math.log(2.0)
    # Both branches are evaluated everywhere, so each sees only arguments that it can bear.
    near = torch.log(-torch.expm1(values.clamp(min=split)))
    far = torch.log1p(-torch.exp(values.clamp(max=split)))
    return torch.where(values > split, near, far)


def _log_odds(means: Tensor) -> Tensor:
    means = means.clamp(max=LARGEST_MEAN)
    return means - log1mexp(means)


def _means(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
) -> tuple[Tensor, Tensor]:
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        chosen_lengths=chosen_lengths,
        rejected_lengths=rejected_lengths,
    )
    return policy_chosen_logps / chosen_lengths, policy_rejected_logps / rejected_lengths
