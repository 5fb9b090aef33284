"""DPO with a beta that follows each step's pairs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.alignment.losses.results import PairLoss, bradley_terry, pair_log_ratios

# The authors' code keeps beta above this; the formula alone could turn it negative.
SMALLEST_BETA = 1e-3


def beta_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    step_beta: Tensor,
) -> PairLoss:
    """DPO with the step's own beta (Wu et al. 2024, arXiv 2407.08639); see `beta_dpo_statistic`.

        loss = -log sigmoid(step_beta * m)

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        step_beta: scalar > 0, treated as a constant.

    Raises:
        ValueError: when the shapes differ or are not [b], or step_beta is not a scalar.
    """
    if step_beta.numel() != 1:
        raise ValueError(f"step_beta must be a scalar, not {tuple(step_beta.shape)}")
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    beta = step_beta.detach()
    losses = bradley_terry(beta * (chosen - rejected))
    return PairLoss(losses, (beta * chosen).detach(), (beta * rejected).detach())


def beta_dpo_statistic(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    state: Mapping[str, float],
    beta: float,
    alpha: float,
    momentum: float,
    keep_ratio: float,
    convention: str = "paper",
) -> dict[str, Any]:
    """Which pairs of the step are kept, and its beta (Wu et al. 2024, arXiv 2407.08639, section 4).

    With M_i the gap of pair i, M0 and s running mean and deviation of the gaps:

        kept       a share keep_ratio, drawn without replacement, weights exp(-(M_i - M0)^2 / 2s^2)
        step_beta  beta * (1 + alpha * (mean of the kept M_i - M0)), at least 0.001
        M0         momentum * M0 + (1 - momentum) * mean of M, and so s

    "paper": M_i = beta * m, M0 before this step's update; the first step starts M0 and s at its own
    mean and deviation. "code", as the authors wrote it: M_i = m without beta, M0 and s start at 0
    and are updated before use; the same alpha acts ten times as strongly at beta = 0.1.

    Args:
        policy_…, reference_…: [n], all pairs of the step; no gradient comes back.
        state: what the last step returned, empty at first: mean, deviation, steps.
        beta, alpha: beta0 and the scale of its change.
        momentum: of the running mean and deviation, in [0, 1).
        keep_ratio: the paper's rho, in (0, 1].
        convention: "paper" or "code".

    Returns:
        step_beta, a scalar; keep, [n] of 0 and 1; state.

    Raises:
        ValueError: when the shapes differ or are not [n], or the convention is unknown.
    """
    if convention not in ("paper", "code"):
        raise ValueError(f"convention must be paper or code, not {convention!r}")
    with torch.no_grad():
        chosen, rejected = pair_log_ratios(
            policy_chosen_logps,
            policy_rejected_logps,
            reference_chosen_logps,
            reference_rejected_logps,
        )
        gaps = (chosen - rejected) * (beta if convention == "paper" else 1.0)
        updated = updated_state(state, gaps, momentum, from_zero=convention == "code")
        # The paper's first step has nothing before it.
        used = updated if convention == "code" or not state else state
        keep = kept_pairs(gaps, used, keep_ratio, step=int(updated["steps"]))
        step_beta = beta_of_step(gaps, keep, used["mean"], beta=beta, alpha=alpha)
    return {"step_beta": step_beta, "keep": keep, "state": updated}


def updated_state(
    state: Mapping[str, float], gaps: Tensor, momentum: float, *, from_zero: bool
) -> dict[str, float]:
    """Running mean and (unbiased) standard deviation of the gaps [n], and the count of steps."""
    mean = float(gaps.mean())
    deviation = float(gaps.std()) if len(gaps) > 1 else 0.0
    if state or from_zero:
        mean = momentum * state.get("mean", 0.0) + (1.0 - momentum) * mean
        deviation = momentum * state.get("deviation", 0.0) + (1.0 - momentum) * deviation
    return {"mean": mean, "deviation": deviation, "steps": state.get("steps", 0.0) + 1.0}


def kept_pairs(gaps: Tensor, state: Mapping[str, float], keep_ratio: float, *, step: int) -> Tensor:
    """Draw a share of the pairs without replacement, weights exp(-(gap - mean)^2 / 2 s^2): [n].

    By the largest of log weight + Gumbel noise, which no weight underflows. The noise is that of
    the step's number: equal in all processes, and after a resume.
    """
    count = max(1, int(len(gaps) * keep_ratio))
    deviation = max(state["deviation"], torch.finfo(torch.float32).tiny ** 0.5)
    log_weights = -((gaps.double().cpu() - state["mean"]) ** 2) / (2.0 * deviation**2)
    generator = torch.Generator().manual_seed(step)
    uniform = torch.rand(len(gaps), dtype=torch.float64, generator=generator)
    noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
    keep = torch.zeros_like(gaps)
    keep[torch.topk(log_weights + noise, count).indices.to(gaps.device)] = 1.0
    return keep


def beta_of_step(gaps: Tensor, keep: Tensor, mean: float, *, beta: float, alpha: float) -> Tensor:
    """beta * (1 + alpha * (mean of the kept gaps - mean)), at least SMALLEST_BETA: a scalar."""
    kept_mean = (gaps * keep).sum() / keep.sum()
    return (beta * (1.0 + alpha * (kept_mean - mean))).clamp(min=SMALLEST_BETA)
