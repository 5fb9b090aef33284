"""From rewards to advantages: pure functions on padded [b, t] tensors.

Notation: b responses, padded on the right to t tokens; `mask` [b, t] is true at real tokens, each
row a run of at least one from position 0. Responses of one prompt stand together, k of them. What
stands at padding never changes a result, and results there are zero.

A method names one of the last four functions as its step statistic. The online loop calls it by the
names of its arguments and keeps the floats that it returns under `state` from step to step.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from training.alignment.kl import Controller, next_coefficient

Baseline = Literal["running", "batch", "none"]
Scale = Literal["std", "none"]


class Advantages(NamedTuple):
    """Advantages and the returns that the value model is fitted to, both [b, t]."""

    advantages: Tensor
    returns: Tensor


def last_token(mask: Tensor) -> Tensor:
    """One at the last real token of every row: [b, t] of bool."""
    check_mask(mask)
    last = mask.sum(dim=1, keepdim=True) - 1
    return torch.arange(mask.shape[1], device=mask.device)[None, :] == last


def token_rewards(
    policy_logps: Tensor,
    reference_logps: Tensor,
    scores: Tensor,
    mask: Tensor,
    *,
    kl_coefficient: float,
) -> Tensor:
    """Rewards of RLHF a token, [b, t] (Ouyang et al. 2022, arXiv 2203.02155, eq. 2).

        r_t = -β (log π_old(y_t) - log π_ref(y_t)) + [t is the last real token] · score

    The score stands on the last real token, never on padding after it, where it would be lost.

    Args:
        policy_logps, reference_logps: [b, t] of the policy that sampled, and of the reference.
        scores: [b] of the whole responses.
        kl_coefficient: β ≥ 0.

    Raises:
        ValueError: when a shape is wrong or a row has no token.
    """
    _check(mask, policy_logps=policy_logps, reference_logps=reference_logps)
    _check_scores(scores, mask)
    penalty = -kl_coefficient * (policy_logps - reference_logps)
    rewards = penalty + last_token(mask) * scores[:, None]
    return rewards.masked_fill(~mask, 0.0)


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> Advantages:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

        δ_t = r_t + gamma V_{t+1} - V_t,   A_t = δ_t + gamma lambda A_{t+1},   returns = A + V

    with V and A zero after the last real token.

    Args:
        rewards, values: [b, t]; `values[:, t]` is V of the state in which token t was chosen.
        gamma, lam: gamma and lambda in [0, 1].

    Raises:
        ValueError: when a shape is wrong or a row has no token.
    """
    _check(mask, rewards=rewards, values=values)
    rewards, values = rewards.masked_fill(~mask, 0.0), values.masked_fill(~mask, 0.0)
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + gamma * following - values
    advantages, carried = torch.zeros_like(deltas), torch.zeros_like(deltas[:, 0])
    for position in reversed(range(deltas.shape[1])):
        carried = (deltas[:, position] + gamma * lam * carried) * mask[:, position]
        advantages[:, position] = carried
    return Advantages(advantages, (advantages + values).masked_fill(~mask, 0.0))


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-8) over the real tokens of the whole batch: [b, t].

    The variance is the population's, as in Ziegler et al. 2019. Without `shift_mean` the mean is
    put back, as that work does for rewards.

    Raises:
        ValueError: when a shape is wrong or a row has no token.
    """
    _check(mask, values=values)
    # Float32 rounds the mean of equal values away from them, and 1 / 1e-4 makes much of that.
    exact = values.double()
    mean, variance = exact[mask].mean(), exact[mask].var(unbiased=False)
    whitened = (exact - mean) * torch.rsqrt(variance + 1e-8)
    whitened = whitened if shift_mean else whitened + mean
    return whitened.masked_fill(~mask, 0.0).to(_real_dtype(values))


def leave_one_out(rewards: Tensor, per_prompt: int) -> Tensor:
    """r_i - mean of the other k - 1 rewards of its prompt: [b] (Ahmadian et al. 2024, RLOO).

    arXiv 2402.14740, eq. 8 (Kool et al. 2019).

    Raises:
        ValueError: when k < 2 or b is not a multiple of k.
    """
    groups = _groups(rewards, per_prompt)
    others = (groups.sum(dim=1, keepdim=True) - groups) / (per_prompt - 1)
    return (groups - others).reshape(-1).to(_real_dtype(rewards))


def group_normalized(
    rewards: Tensor, per_prompt: int, *, scale: Scale = "std", epsilon: float = 1e-4
) -> Tensor:
    """GRPO's advantages, one a response: [b] (Shao et al. 2024, arXiv 2402.03300, section 4.1.2).

        A_i = (r_i - mean) / (std + ε)     std unbiased, over the prompt's k responses
        A_i = r_i - mean                   scale="none": Dr. GRPO (Liu et al. 2025, 2503.20783)

    Raises:
        ValueError: when k < 2, b is not a multiple of k or the scale has no name here.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"{scale!r} is no scale; the known ones are {', '.join(get_args(Scale))}")
    groups = _groups(rewards, per_prompt)
    centred = groups - groups.mean(dim=1, keepdim=True)
    if scale == "std":
        centred = centred / (groups.std(dim=1, keepdim=True) + epsilon)
    return centred.reshape(-1).to(_real_dtype(rewards))


def zero_variance_share(rewards: Tensor, per_prompt: int) -> float:
    """Share of prompts whose responses all got one reward: they teach a group method nothing."""
    groups = _groups(rewards, per_prompt)
    return float((groups.max(dim=1).values == groups.min(dim=1).values).double().mean())


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the real tokens; 0 where nothing varies."""
    residual, wanted = (returns - values)[mask].double(), returns[mask].double()
    variance = wanted.var(unbiased=False)
    return float(1.0 - residual.var(unbiased=False) / variance) if variance > 0 else 0.0


def check_mask(mask: Tensor) -> None:
    """Raises ValueError unless each row is a run of real tokens from position 0, then padding."""
    lengths = mask.sum(dim=1)
    positions = torch.arange(mask.shape[1], device=mask.device)[None, :]
    if mask.dtype is not torch.bool or not bool((lengths > 0).all()):
        raise ValueError("mask must be [b, t] of bool with at least one token in each row")
    if not torch.equal(mask, positions < lengths[:, None]):
        raise ValueError("mask must be padded on the right, without holes")


def reinforce_advantages(
    scores: Tensor,
    old_logps: Tensor,
    reference_logps: Tensor,
    mask: Tensor,
    state: Mapping[str, float],
    *,
    beta: float,
    baseline: Baseline = "running",
    baseline_decay: float = 0.9,
) -> dict[str, Any]:
    """REINFORCE's advantage, the same at all tokens of a response: R - baseline, [b, t].

    R = score - β Σ_t (log π_old - log π_ref). The baseline is a running mean of R over the steps
    before (the first step takes its own mean), the batch's mean, or nothing.
    """
    rewards = _less_kl(scores, old_logps, reference_logps, mask, beta)
    mean = float(rewards.mean())
    before = state.get("baseline", mean)
    following = baseline_decay * before + (1.0 - baseline_decay) * mean
    taken = {"running": before, "batch": mean, "none": 0.0}[baseline]
    return {"advantages": _over_tokens(rewards - taken, mask), "state": {"baseline": following}}


def rloo_advantages(
    scores: Tensor,
    old_logps: Tensor,
    reference_logps: Tensor,
    mask: Tensor,
    per_prompt: int,
    *,
    beta: float,
) -> dict[str, Any]:
    """RLOO's advantage, the same at all tokens of a response, [b, t]: `leave_one_out` of R.

    R = score - β Σ_t (log π_old - log π_ref), the k1 estimate of a whole response.
    """
    rewards = _less_kl(scores, old_logps, reference_logps, mask, beta)
    return {"advantages": _over_tokens(leave_one_out(rewards, per_prompt), mask)}


def ppo_advantages(
    scores: Tensor,
    old_logps: Tensor,
    reference_logps: Tensor,
    old_values: Tensor,
    mask: Tensor,
    state: Mapping[str, float],
    *,
    kl_coefficient: float,
    kl_controller: Controller = "fixed",
    kl_target: float = 6.0,
    kl_horizon: float = 10_000.0,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten_rewards: bool = False,
    whiten_advantages: bool = True,
) -> dict[str, Any]:
    """PPO's advantages and returns, [b, t], and the KL coefficient of the next step as state."""
    coefficient = state.get("kl_coefficient", kl_coefficient)
    rewards = token_rewards(old_logps, reference_logps, scores, mask, kl_coefficient=coefficient)
    if whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    estimated = generalized_advantages(rewards, old_values, mask, gamma=gamma, lam=lam)
    advantages = estimated.advantages
    observed = (old_logps - reference_logps).masked_fill(~mask, 0.0).sum(dim=1).mean()
    following = next_coefficient(
        coefficient,
        float(observed),
        controller=kl_controller,
        target=kl_target,
        horizon=kl_horizon,
        samples=len(mask),
    )
    return {
        "advantages": whiten(advantages, mask) if whiten_advantages else advantages,
        "returns": estimated.returns,
        "state": {"kl_coefficient": following},
    }


def grpo_advantages(
    scores: Tensor, mask: Tensor, per_prompt: int, *, advantage_scale: Scale = "std"
) -> dict[str, Any]:
    """GRPO's advantage, the same at all tokens of a response, [b, t]: see `group_normalized`."""
    advantages = group_normalized(scores, per_prompt, scale=advantage_scale)
    return {"advantages": _over_tokens(advantages, mask)}


def _less_kl(
    scores: Tensor, old_logps: Tensor, reference_logps: Tensor, mask: Tensor, beta: float
) -> Tensor:
    _check(mask, old_logps=old_logps, reference_logps=reference_logps)
    _check_scores(scores, mask)
    return scores - beta * (old_logps - reference_logps).masked_fill(~mask, 0.0).sum(dim=1)


def _over_tokens(advantages: Tensor, mask: Tensor) -> Tensor:
    return advantages[:, None] * mask


def _groups(rewards: Tensor, per_prompt: int) -> Tensor:
    """Float64 [prompts, k], each group less its first reward."""
    if per_prompt < 2 or rewards.ndim != 1 or len(rewards) % per_prompt:
        raise ValueError(
            f"{tuple(rewards.shape)} rewards are not groups of {per_prompt}; a group method needs "
            "two or more responses a prompt"
        )
    # Float32 rounds the mean of equal rewards away from them, and 1 / std makes much of that. A
    # group's advantages do not change with what all its rewards are shifted by.
    groups = rewards.double().reshape(-1, per_prompt)
    return groups - groups[:, :1]


def _check(mask: Tensor, **tensors: Tensor) -> None:
    check_mask(mask)
    for name, tensor in tensors.items():
        if tensor.shape != mask.shape:
            raise ValueError(f"{name} {tuple(tensor.shape)} must be {tuple(mask.shape)} as mask is")


def _check_scores(scores: Tensor, mask: Tensor) -> None:
    if scores.shape != mask.shape[:1]:
        raise ValueError(
            f"scores {tuple(scores.shape)} must be one a response: ({len(mask)},) as mask has rows"
        )


def _real_dtype(values: Tensor) -> torch.dtype:
    """Rewards may be counts or verdicts; advantages are real numbers."""
    return values.dtype if values.is_floating_point() else torch.get_default_dtype()
