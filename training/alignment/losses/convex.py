"""Other convex functions of the same margin: IPO, the GPO family, RSO's hinge.

In the formulas m = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected).
Soft labels p enter as the expected loss: p * f(m) + (1 - p) * f(-m).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from training.alignment.losses.results import (
    PairLoss,
    check_batch,
    check_probabilities,
    normalised_ratios,
    pair_log_ratios,
)

# Beyond this the exponential goes on as its tangent: convex as before, and finite in float32.
EXPONENT_LIMIT = 40.0


def ipo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    chosen_lengths: Tensor | None = None,
    rejected_lengths: Tensor | None = None,
    target_probabilities: Tensor | None = None,
    tau: float,
    normalisation: str = "summed",
) -> PairLoss:
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036, eq. 17).

        loss = (m - 1 / (2 * tau))^2

    "summed" takes log-ratios of whole answers, as the equation is printed; "averaged" divides
    each by its answer's tokens, as TRL, HALOs and LLaMA-Factory do.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        chosen_lengths, rejected_lengths: [b] tokens; needed when averaged, where the ratio of an
            empty answer is 0.
        target_probabilities: [b] in [0, 1]; None means 1.
        tau: strength of the pull towards the reference, > 0. A tau for one normalisation is wrong
            for the other by about the answers' length.
        normalisation: "summed" or "averaged".

    Raises:
        ValueError: when the shapes differ or are not [b], a target lies outside [0, 1], averaged
            ones have no lengths, or the normalisation is unknown.
    """
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    chosen, rejected = normalised_ratios(
        chosen, rejected, chosen_lengths, rejected_lengths, normalisation
    )
    target = 1.0 / (2.0 * tau)
    losses = _expected(lambda m: (m - target).square(), chosen - rejected, target_probabilities)
    return PairLoss(losses, (tau * chosen).detach(), (tau * rejected).detach())


def _exponential(z: Tensor) -> Tensor:
    exponent = (-z).clamp(max=EXPONENT_LIMIT)
    return torch.exp(exponent) * (1.0 + relu(-z - EXPONENT_LIMIT))


CONVEX_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logistic": lambda z: -logsigmoid(z),
    "hinge": lambda z: relu(1.0 - z),
    "squared": lambda z: (z - 1.0).square(),
    "exponential": _exponential,
    "truncated_squared": lambda z: relu(1.0 - z).square(),
    "savage": lambda z: torch.sigmoid(-z).square(),
}


def gpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    beta: float,
    convex_function: str,
) -> PairLoss:
    """Generalised preference optimisation (Tang et al. 2024, arXiv 2402.05749, eq. 4 and table 1).

        loss = f(beta * m)

    logistic log(1 + exp(-z)) is DPO; hinge max(0, 1 - z) SLiC's form; squared (z - 1)^2 is IPO
    with tau = beta / 2, times beta^2; exponential exp(-z); truncated_squared max(0, 1 - z)^2;
    savage 1 / (1 + exp(z))^2.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1]; None means 1.
        beta: > 0.
        convex_function: one of CONVEX_FUNCTIONS.

    Raises:
        ValueError: when the shapes differ or are not [b], or the function is unknown.
    """
    if convex_function not in CONVEX_FUNCTIONS:
        known = ", ".join(CONVEX_FUNCTIONS)
        raise ValueError(f"convex_function must be one of {known}, not {convex_function!r}")
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    f = CONVEX_FUNCTIONS[convex_function]
    losses = _expected(f, beta * (chosen - rejected), target_probabilities)
    return PairLoss(losses, (beta * chosen).detach(), (beta * rejected).detach())


def rso_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    gamma: float,
) -> PairLoss:
    """RSO's hinge-norm loss (Liu et al. 2023, arXiv 2309.06657, eq. 10).

        loss = max(0, 1 - gamma * m)

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1]; None means 1.
        gamma: > 0; a pair counts until its margin reaches 1 / gamma.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    return gpo_loss(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
        target_probabilities=target_probabilities,
        beta=gamma,
        convex_function="hinge",
    )


def _expected(
    f: Callable[[Tensor], Tensor], margins: Tensor, target_probabilities: Tensor | None
) -> Tensor:
    check_batch(margins=margins, target_probabilities=target_probabilities)
    check_probabilities(target_probabilities)
    if target_probabilities is None:
        return f(margins)
    return target_probabilities * f(margins) + (1.0 - target_probabilities) * f(-margins)
