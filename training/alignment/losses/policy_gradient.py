"""Losses of the online loop: pure functions of per-token log-probabilities.

Notation: b responses, padded on the right to t tokens; `mask` [b, t] is true at real tokens;
`old_logps` are the log-probabilities under the policy before this step's updates. Losses come back
per token, not reduced; `token_weights` makes the weights whose plain sum is the paper's mean, so
that micro-batches and processes add up to the same number.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from training.alignment.kl import KLLoss, kl_loss

Reduction = Literal["sum", "sequence", "token", "dr_grpo"]
RatioLevel = Literal["token", "sequence"]
RlooObjective = Literal["reinforce", "sequence_clip"]

_LARGEST_EXPONENT = 20.0


class TokenLoss(NamedTuple):
    """Losses [b, t], zero at padding, and detached figures [b, t] to be averaged over tokens."""

    losses: Tensor
    figures: Mapping[str, Tensor]


class Clipped(NamedTuple):
    """The clipped surrogate, its probability ratios and where the clip was active, all [b, t]."""

    losses: Tensor
    ratios: Tensor
    clipped: Tensor


def reinforce_loss(
    policy_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    sampler_weights: Tensor | None = None,
    entropies: Tensor | None = None,
    *,
    entropy_coefficient: float = 0.0,
) -> TokenLoss:
    """REINFORCE with a baseline (Williams 1992).

        loss_t = -w_t A_t log π(y_t),   summed over the response

    Args:
        policy_logps: [b, t] with gradient.
        advantages: [b, t], reward less baseline, the same at all tokens of a response.
        mask: [b, t] bool.
        sampler_weights: [b, t] importance weights of trainer against sampler; None means 1.
        entropies: [b, t] with gradient, in nats.

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, policy_logps=policy_logps, advantages=advantages)
    losses = -advantages.detach() * _weighted(policy_logps, sampler_weights)
    return _finished(losses, mask, {}, entropies, entropy_coefficient)


def rloo_loss(
    policy_logps: Tensor,
    old_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    sampler_weights: Tensor | None = None,
    entropies: Tensor | None = None,
    *,
    objective: RlooObjective = "reinforce",
    clip_range: float = 0.2,
    entropy_coefficient: float = 0.0,
) -> TokenLoss:
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740, eq. 8).

    `reinforce` is the paper's: -A · Σ_t log π(y_t). `sequence_clip` is popular code's (TRL): PPO's
    clip on the ratio of whole responses, shared out over the response's tokens, which stays sound
    over several updates on one rollout. Both have the same gradient at the first update.

    Raises:
        ValueError: when the shapes differ.
    """
    _check_name(objective, RlooObjective)
    if objective == "reinforce":
        return reinforce_loss(
            policy_logps,
            advantages,
            mask,
            sampler_weights,
            entropies,
            entropy_coefficient=entropy_coefficient,
        )
    surrogate = clipped_surrogate(
        policy_logps, old_logps, advantages, mask, clip_range, clip_range, level="sequence"
    )
    shared = surrogate.losses / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return _finished(
        _weighted(shared, sampler_weights),
        mask,
        _clip_figures(surrogate),
        entropies,
        entropy_coefficient,
    )


def ppo_loss(
    policy_logps: Tensor,
    old_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    sampler_weights: Tensor | None = None,
    entropies: Tensor | None = None,
    *,
    clip_range: float = 0.2,
    value_clip_range: float = 0.2,
    value_coefficient: float = 0.1,
    entropy_coefficient: float = 0.0,
) -> TokenLoss:
    """PPO (Schulman et al. 2017, arXiv 1707.06347, eq. 7 and 9), averaged over tokens.

        loss_t = -min(ratio_t A_t, clip(ratio_t, 1 ± ε) A_t) + c_V · value loss_t - c_H · entropy_t

    Args:
        policy_logps, values, entropies: [b, t] with gradient.
        old_logps, old_values: [b, t] before this step's updates.
        advantages, returns: [b, t].
        mask: [b, t] bool.
        sampler_weights: [b, t] importance weights of trainer against sampler; None means 1.

    Raises:
        ValueError: when the shapes differ.
    """
    surrogate = clipped_surrogate(policy_logps, old_logps, advantages, mask, clip_range, clip_range)
    fit = value_loss(values, old_values, returns, mask, clip_range=value_clip_range)
    figures = _clip_figures(surrogate) | {"value_loss": fit.detach()}
    losses = _weighted(surrogate.losses, sampler_weights) + value_coefficient * fit
    return _finished(losses, mask, figures, entropies, entropy_coefficient)


def grpo_loss(
    policy_logps: Tensor,
    old_logps: Tensor,
    reference_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    sampler_weights: Tensor | None = None,
    entropies: Tensor | None = None,
    *,
    beta: float = 0.04,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    kl_estimator: KLLoss = "k3",
    entropy_coefficient: float = 0.0,
) -> TokenLoss:
    """GRPO (Shao et al. 2024, arXiv 2402.03300, eq. 3).

        loss_t = -min(ratio_t A, clip(ratio_t, 1 - ε_low, 1 + ε_high) A) + β k3_t

    The paper averages over the tokens of a response, then over responses (`token_weights` with
    "sequence"); DAPO and BNPO over all tokens ("token"); Dr. GRPO sums over tokens and divides by a
    constant ("dr_grpo"). `k3_corrected` multiplies k3 by ratio, as TRL ≥ 1.16 does by default.

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, reference_logps=reference_logps)
    surrogate = clipped_surrogate(policy_logps, old_logps, advantages, mask, clip_low, clip_high)
    losses = _weighted(surrogate.losses, sampler_weights)
    if beta:
        penalty = kl_loss(policy_logps, reference_logps, old_logps, estimator=kl_estimator)
        losses = losses + beta * penalty
    return _finished(losses, mask, _clip_figures(surrogate), entropies, entropy_coefficient)


def clipped_surrogate(
    policy_logps: Tensor,
    old_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    *,
    level: RatioLevel = "token",
) -> Clipped:
    """-min(ratio A, clip(ratio, 1 - low, 1 + high) A), ratio = π / π_old of token or response.

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, policy_logps=policy_logps, old_logps=old_logps, advantages=advantages)
    ratios = _ratios(policy_logps - old_logps.detach(), mask, level)
    advantages = advantages.detach()
    free, bounded = ratios * advantages, ratios.clamp(1 - clip_low, 1 + clip_high) * advantages
    clipped = (bounded < free).to(ratios)
    return Clipped(-torch.minimum(free, bounded), ratios.detach(), clipped)


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, *, clip_range: float
) -> Tensor:
    """½ max((V - R)², (clip(V, V_old ± c) - R)²) a token: [b, t]; without a clip at c = 0.

    Only `values` get a gradient, also where the returns were made of them.

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, values=values, old_values=old_values, returns=returns)
    returns = returns.detach()
    free = (values - returns).square()
    if clip_range > 0:
        old = old_values.detach()
        bounded = old + (values - old).clamp(-clip_range, clip_range)
        free = torch.maximum(free, (bounded - returns).square())
    return (0.5 * free).masked_fill(~mask, 0.0)


def ptx_loss(completion_logps: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of pretraining text or demonstrations a token: [b, t].

    PPO-ptx adds gamma times its token mean to PPO's loss (Ouyang et al. 2022, arXiv 2203.02155,
    eq. 2).

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, completion_logps=completion_logps)
    return (-completion_logps).masked_fill(~mask, 0.0)


def sampler_weights(
    old_logps: Tensor,
    sampler_logps: Tensor,
    mask: Tensor,
    *,
    level: RatioLevel = "token",
    cap: float = 2.0,
) -> Tensor:
    """min(π_trainer / π_sampler, cap): [b, t], without gradient.

    The engine that samples and the model that trains round differently, so that samples are
    slightly off-policy even at the first update. Truncated importance sampling (Ionides 2008; Yao
    et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training") corrects
    the mean and bounds the variance.

    Raises:
        ValueError: when the shapes differ.
    """
    check_tokens(mask, old_logps=old_logps, sampler_logps=sampler_logps)
    return _ratios((old_logps - sampler_logps).detach(), mask, level).clamp(max=cap)


def token_weights(mask: Tensor, reduction: Reduction, *, max_length: int) -> Tensor:
    """Weights [b, t] with which per-token losses of a whole update sum to its mean.

    Those of a response without a token are 0.

        sum       1 / b                       a response's sum, then the mean over responses
        sequence  1 / (b · |y_i|)             a response's mean, then the mean over responses
        token     1 / Σ_i |y_i|               the mean over all tokens
        dr_grpo   1 / (b · max_length)        a response's sum over a constant

    Raises:
        ValueError: when the reduction has no name here.
    """
    count, real = len(mask), mask.to(torch.float32)
    if reduction == "sum":
        return real / count
    if reduction == "sequence":
        return real / (real.sum(dim=1, keepdim=True).clamp(min=1) * count)
    if reduction == "token":
        return real / real.sum()
    if reduction == "dr_grpo":
        return real / (count * max_length)
    raise ValueError(f"{reduction!r} is no reduction; see token_weights")


def check_tokens(mask: Tensor, **tensors: Tensor) -> None:
    """Raises ValueError unless all tensors are of the mask's shape [b, t]."""
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or tensor.shape != mask.shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)}, but the mask {tuple(mask.shape)}; "
                "both must be [responses, tokens]"
            )


def _ratios(log_ratios: Tensor, mask: Tensor, level: RatioLevel) -> Tensor:
    """exp of the log-ratio of each token, or of its whole response: [b, t]."""
    _check_name(level, RatioLevel)
    log_ratios = log_ratios.masked_fill(~mask, 0.0)
    if level == "sequence":
        log_ratios = log_ratios.sum(dim=1, keepdim=True).expand_as(mask)
    return torch.exp(log_ratios.clamp(max=_LARGEST_EXPONENT))


def _check_name(name: str, known: Any) -> None:
    if name not in get_args(known):
        raise ValueError(f"{name!r} is not known; there are {', '.join(get_args(known))}")


def _weighted(losses: Tensor, weights: Tensor | None) -> Tensor:
    return losses if weights is None else losses * weights.detach()


def _clip_figures(surrogate: Clipped) -> dict[str, Tensor]:
    return {"clip_fraction": surrogate.clipped, "ratio": surrogate.ratios}


def _finished(
    losses: Tensor,
    mask: Tensor,
    figures: dict[str, Tensor],
    entropies: Tensor | None,
    entropy_coefficient: float,
) -> TokenLoss:
    """With the entropy bonus added and padding zeroed."""
    if entropy_coefficient and entropies is not None:
        check_tokens(mask, entropies=entropies)
        losses = losses - entropy_coefficient * entropies
    kept = {name: value.masked_fill(~mask, 0.0) for name, value in figures.items()}
    return TokenLoss(losses.masked_fill(~mask, 0.0), kept)
