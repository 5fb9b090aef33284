"""How far the policy has moved from the reference: estimators on samples, and controllers.

Which estimator where: in the **reward** use k1, whose expectation is the KL exactly; as a **loss**
k2's gradient is right on fresh samples, k1's is zero on average, and k3's is biased unless it is
multiplied by the importance ratio (`k3_corrected`). For watching, k3 varies least.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

KLLoss = Literal["k2", "k3", "k3_corrected"]
Controller = Literal["fixed", "schulman", "ziegler"]

_LARGEST_EXPONENT = 20.0  # exp(20) = 5e8: one freak token must not make a step infinite


class KLEstimates(NamedTuple):
    """Three estimates of KL(policy || reference) a token, in nats, each of the input's shape."""

    k1: Tensor
    k2: Tensor
    k3: Tensor


def kl_estimates(policy_logps: Tensor, reference_logps: Tensor) -> KLEstimates:
    """Schulman 2020, "Approximating KL divergence", on tokens sampled from the policy.

    With x = log π(y) - log π_ref(y):

        k1 = x            unbiased, may be negative
        k2 = x² / 2       biased, low variance
        k3 = exp(-x) - 1 + x    unbiased, never negative

    Args:
        policy_logps, reference_logps: log-probabilities of the same tokens, any equal shape.

    Raises:
        ValueError: when the shapes differ.
    """
    if policy_logps.shape != reference_logps.shape:
        raise ValueError(
            f"policy_logps {tuple(policy_logps.shape)} and reference_logps "
            f"{tuple(reference_logps.shape)} must have one shape"
        )
    x = policy_logps - reference_logps
    k3 = torch.expm1((-x).clamp(max=_LARGEST_EXPONENT)) + x
    return KLEstimates(k1=x, k2=0.5 * x.square(), k3=k3)


def kl_loss(
    policy_logps: Tensor, reference_logps: Tensor, old_logps: Tensor, *, estimator: KLLoss
) -> Tensor:
    """A KL penalty a token to be minimised, of the input's shape.

    `k3` is GRPO's (Shao et al. 2024, arXiv 2402.03300, eq. 4). `k3_corrected` is ratio · k3 with
    ratio = π / π_old, gradient through both: its expectation under π_old is the KL itself, and its
    gradient the KL's. `k2` has the right gradient while π = π_old.

    Only `policy_logps` gets a gradient, also where the others are the same tensor.

    Raises:
        ValueError: when the shapes differ or the estimator has no name here (k1 among them: the
        expectation of its gradient is zero).
    """
    estimates = kl_estimates(policy_logps, reference_logps.detach())
    if estimator == "k2":
        return estimates.k2
    if estimator == "k3":
        return estimates.k3
    if estimator == "k3_corrected":
        log_ratios = (policy_logps - old_logps.detach()).clamp(max=_LARGEST_EXPONENT)
        return torch.exp(log_ratios) * estimates.k3
    raise ValueError(f"{estimator!r} is no KL loss; the known ones are k2, k3, k3_corrected")


def next_coefficient(
    coefficient: float,
    observed_kl: float,
    *,
    controller: Controller,
    target: float,
    horizon: float,
    samples: int,
) -> float:
    """The KL coefficient of the next step, after `observed_kl` nats a response were seen.

    Raises:
        ValueError: when the controller has no name here.
    """
    if controller not in get_args(Controller):
        known = ", ".join(get_args(Controller))
        raise ValueError(f"{controller!r} is no controller; the known ones are {known}")
    if controller == "schulman":
        return schulman_coefficient(coefficient, observed_kl, target=target)
    if controller == "ziegler":
        return ziegler_coefficient(
            coefficient, observed_kl, target=target, horizon=horizon, samples=samples
        )
    return coefficient


def schulman_coefficient(coefficient: float, observed_kl: float, *, target: float) -> float:
    """Halve below target / 1.5, double above 1.5 · target (Schulman et al. 2017, section 4)."""
    if observed_kl < target / 1.5:
        return coefficient / 2.0
    return coefficient * 2.0 if observed_kl > 1.5 * target else coefficient


def ziegler_coefficient(
    coefficient: float, observed_kl: float, *, target: float, horizon: float, samples: int
) -> float:
    """A proportional controller (Ziegler et al. 2019, arXiv 1909.08593, section 2.2).

        e = clip(KL / target - 1, -0.2, 0.2),   β ← β · max(1 + e · samples / horizon, 0.1)

    The paper has no lower bound: its batches are far smaller than its horizon. Without one, more
    than five horizons of samples below the target would make β negative.

    Args:
        coefficient: β before, at least 0.
        observed_kl: mean KL of a whole response, in nats.
        target: the wanted KL, in nats a response, > 0.
        horizon: samples over which β may change by a fifth, > 0.
        samples: responses that the observation is a mean of.
    """
    error = min(max(observed_kl / target - 1.0, -0.2), 0.2)
    return coefficient * max(1.0 + error * samples / horizon, 0.1)
