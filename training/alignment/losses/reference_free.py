"""Pairs without a reference model: SLiC-HF, ORPO, SimPO, CPO.

Soft labels p enter as the expected loss, likelihood terms included:
p * L(w, l) + (1 - p) * L(l, w). The mean log-probability of an empty answer is 0.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import relu

from training.alignment.losses.results import (
    PairLoss,
    a_token,
    bradley_terry,
    check_batch,
    expected_loss,
)

Sides = tuple[Tensor, Tensor]  # of the chosen and of the rejected answer, [b] each

# A probability of 1 has infinite odds; this is the largest mean log-probability that counts.
LARGEST_MEAN = -1e-6


def slic_hf_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    delta: float,
    regularisation_weight: float,
) -> PairLoss:
    """SLiC-HF (Zhao et al. 2023, arXiv 2305.10425, eq. 4), the chosen answer as the SFT target.

        loss = max(0, delta - policy_chosen + policy_rejected) - lambda * policy_chosen

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        target_probabilities: [b] in [0, 1]; None means 1.
        delta: the margin asked for, in nats, >= 0.
        regularisation_weight: the paper's lambda, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps, policy_rejected_logps=policy_rejected_logps
    )

    def of(better: Tensor, worse: Tensor) -> Tensor:
        return relu(delta - better + worse) - regularisation_weight * better

    losses = expected_loss(of, policy_chosen_logps, policy_rejected_logps, target_probabilities)
    return PairLoss(losses, policy_chosen_logps.detach(), policy_rejected_logps.detach())


def orpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    *,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    policy_text_logps: Tensor | None = None,
    text_lengths: Tensor | None = None,
    target_probabilities: Tensor | None = None,
    step_tokens: Tensor | None = None,
    odds_ratio_weight: float,
    nll: str = "token_mean",
) -> PairLoss:
    """Odds ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691, eqs. 3 to 7).

    With l the mean log-probability of a token and odds(l) = exp(l) / (1 - exp(l)):

        loss = -l_chosen + lambda * -log sigmoid(log odds(l_chosen) - log odds(l_rejected))

    The likelihood term is over the completion. With `policy_text_logps` it is over prompt and
    chosen answer, policy_text / |text|, as the authors' code has it unless told otherwise. Then the
    rejected answer, where `target_probabilities` ask for its likelihood, stands in the chosen one's
    place in that text. "batch_token_mean" divides by `step_tokens` in place of each one's tokens,
    so that the step's mean is one over all tokens, as TRL and the authors' code have it.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths, rejected_lengths: [b] tokens.
        policy_text_logps, text_lengths: [b] of prompt and chosen answer, their first token apart.
        target_probabilities: [b] in [0, 1]; None means 1.
        step_tokens: scalar, mean tokens of the likelihoods of a step; batch_token_mean needs it.
        odds_ratio_weight: the paper's lambda, >= 0.
        nll: "token_mean" or "batch_token_mean".

    Raises:
        ValueError: when the shapes differ or are not [b], step_tokens is missing, or `nll` unknown.
    """
    chosen, rejected = _means(
        policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths
    )
    sums, lengths = (policy_chosen_logps, policy_rejected_logps), (chosen_lengths, rejected_lengths)
    if policy_text_logps is not None:
        if text_lengths is None:
            raise ValueError("policy_text_logps needs text_lengths")
        check_batch(policy_text_logps=policy_text_logps, text_lengths=text_lengths)
        prompt, tokens = policy_text_logps - policy_chosen_logps, text_lengths - chosen_lengths
        sums = policy_text_logps, prompt + policy_rejected_logps
        lengths = text_lengths, tokens + rejected_lengths
    likelihoods = _likelihoods(sums, lengths, step_tokens, nll)
    weight = odds_ratio_weight

    def of(better: tuple[Tensor, Tensor], worse: tuple[Tensor, Tensor]) -> Tensor:
        return -better[1] + weight * bradley_terry(_log_odds(better[0]) - _log_odds(worse[0]))

    losses = expected_loss(
        of, (chosen, likelihoods[0]), (rejected, likelihoods[1]), target_probabilities
    )
    return PairLoss(losses, (weight * chosen).detach(), (weight * rejected).detach())


def simpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    *,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    target_probabilities: Tensor | None = None,
    beta: float,
    gamma_beta_ratio: float,
) -> PairLoss:
    """SimPO (Meng et al. 2024, arXiv 2405.14734, eq. 6), gamma = beta * gamma_beta_ratio.

        loss = -log sigmoid(beta * policy_chosen / |chosen|
                            - beta * policy_rejected / |rejected| - gamma)

    With `target_probabilities` the target margin is asked of whichever answer is the better one.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths, rejected_lengths: [b] tokens.
        target_probabilities: [b] in [0, 1]; None means 1.
        beta: scale of the length-normalised reward, > 0.
        gamma_beta_ratio: the target margin over beta, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = _means(
        policy_chosen_logps, policy_rejected_logps, chosen_lengths, rejected_lengths
    )

    def of(better: Tensor, worse: Tensor) -> Tensor:
        return bradley_terry(beta * (better - worse - gamma_beta_ratio))

    losses = expected_loss(of, chosen, rejected, target_probabilities)
    return PairLoss(losses, (beta * chosen).detach(), (beta * rejected).detach())


def cpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    *,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    target_probabilities: Tensor | None = None,
    step_tokens: Tensor | None = None,
    beta: float,
    nll_weight: float,
    nll: str = "summed",
) -> PairLoss:
    """Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417, eqs. 4 to 6).

        loss = -log sigmoid(beta * (policy_chosen - policy_rejected)) + nll_weight * NLL

    NLL is -policy_chosen ("summed", the paper's), -policy_chosen / |chosen| ("token_mean") or
    -policy_chosen / step_tokens ("batch_token_mean": one mean over the step's tokens, as in TRL).

    Args:
        policy_chosen_logps, policy_rejected_logps: [b] sums over the answer, with gradient.
        chosen_lengths, rejected_lengths: [b] tokens.
        target_probabilities: [b] in [0, 1]; None means 1.
        step_tokens: scalar, mean tokens of the likelihoods of a step; batch_token_mean needs it.
        beta: > 0.
        nll_weight: 1 in the paper, >= 0.
        nll: "summed", "token_mean" or "batch_token_mean".

    Raises:
        ValueError: when the shapes differ or are not [b], step_tokens is missing, or `nll` unknown.
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        chosen_lengths=chosen_lengths,
        rejected_lengths=rejected_lengths,
    )
    sums, lengths = (policy_chosen_logps, policy_rejected_logps), (chosen_lengths, rejected_lengths)
    likelihoods = sums if nll == "summed" else _likelihoods(sums, lengths, step_tokens, nll)
    chosen, rejected = zip(sums, likelihoods, strict=True)

    def of(better: tuple[Tensor, Tensor], worse: tuple[Tensor, Tensor]) -> Tensor:
        return bradley_terry(beta * (better[0] - worse[0])) - nll_weight * better[1]

    losses = expected_loss(of, chosen, rejected, target_probabilities)
    return PairLoss(losses, (beta * sums[0]).detach(), (beta * sums[1]).detach())


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


def _likelihoods(sums: Sides, lengths: Sides, step_tokens: Tensor | None, nll: str) -> Sides:
    """Log-likelihoods a token: of each one's own tokens, or of the step's mean count of them."""
    if nll == "token_mean":
        return a_token(sums[0], lengths[0]), a_token(sums[1], lengths[1])
    if nll != "batch_token_mean":
        raise ValueError(f"nll must be a convention of this loss, not {nll!r}")
    if step_tokens is None or step_tokens.numel() != 1:
        raise ValueError("batch_token_mean needs step_tokens, a scalar")
    return sums[0] / step_tokens, sums[1] / step_tokens


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
    chosen = a_token(policy_chosen_logps, chosen_lengths)
    return chosen, a_token(policy_rejected_logps, rejected_lengths)
