"""Direct preference optimisation and its kin: pairs, relative to a reference.

In the formulas m = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected).
"""

from torch import Tensor, full_like
from torch.nn.functional import relu

from training.alignment.losses.results import (
    PairLoss,
    a_token,
    bradley_terry,
    check_batch,
    expected_loss,
    normalised_ratios,
    pair_log_ratios,
)


def dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    chosen_lengths: Tensor | None = None,
    rejected_lengths: Tensor | None = None,
    beta: float,
    normalisation: str = "summed",
    nll_weight: float = 0.0,
) -> PairLoss:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

        loss = -log sigmoid(beta * m)

    "summed" takes log-ratios of whole answers, as the paper; "averaged" divides each by its
    answer's tokens (length-normalised DPO: Lambert et al. 2024, Tulu 3, arXiv 2411.15124).

    With `target_probabilities` p, the probability that the first answer really is the better one,
    the loss is the cross-entropy p * -log sigmoid(beta * m) + (1 - p) * -log sigmoid(-beta * m):
    p = 1 is the paper's loss, p = 0.5 a tie.

    With `nll_weight` > 0 an anchor nll_weight * -policy_chosen / |chosen| keeps the chosen answer
    likely (Pang et al. 2024, arXiv 2404.19733, eq. 1); with target_probabilities it is
    nll_weight * -(p * policy_chosen / |chosen| + (1 - p) * policy_rejected / |rejected|).

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1]; None means 1.
        chosen_lengths: [b] tokens of the chosen answers, for averaged ratios and the anchor.
        rejected_lengths: [b] of the rejected ones, for averaged ratios and soft labels' anchor.
        beta: strength of the pull towards the reference, > 0; of another size where averaged.
        normalisation: "summed" or "averaged".
        nll_weight: weight of the anchor, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b], a target lies outside [0, 1], lengths are
            needed and missing, or the normalisation is unknown.
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
    losses = bradley_terry(beta * (chosen - rejected), target_probabilities)
    if nll_weight > 0:
        likelihood = _likelihood(
            (policy_chosen_logps, policy_rejected_logps),
            (chosen_lengths, rejected_lengths),
            target_probabilities,
        )
        losses = losses - nll_weight * likelihood
    return _rewarded(losses, beta, chosen, rejected)


def cdpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    beta: float,
    epsilon: float,
) -> PairLoss:
    """Conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences", eq. 3).

        loss = (1 - epsilon) * -log sigmoid(beta * m) + epsilon * -log sigmoid(-beta * m)

    epsilon is an assumed rate of flipped labels, the same for all pairs. It is not a pair's own
    probability: for that see `dpo_loss` and its target_probabilities.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        beta: > 0. The loss is smallest at sigmoid(beta * m) = 1 - epsilon.
        epsilon: in [0, 0.5).

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    logits = beta * (chosen - rejected)
    losses = bradley_terry(logits, full_like(logits, 1.0 - epsilon))
    return _rewarded(losses, beta, chosen, rejected)


def robust_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    beta: float,
    epsilon: float,
) -> PairLoss:
    """Robust DPO (Ray Chowdhury et al. 2024, arXiv 2403.00409).

        loss = ((1 - epsilon) * -log sigmoid(beta * m) - epsilon * -log sigmoid(-beta * m))
               / (1 - 2 * epsilon)

    When labels are flipped at rate epsilon, its expectation is DPO's loss on the true labels. It
    may be negative, and is unbounded below where a pair is fitted without limit.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        beta: > 0.
        epsilon: in [0, 0.5).

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    logits = beta * (chosen - rejected)
    as_labelled, as_flipped = bradley_terry(logits), bradley_terry(-logits)
    losses = ((1.0 - epsilon) * as_labelled - epsilon * as_flipped) / (1.0 - 2.0 * epsilon)
    return _rewarded(losses, beta, chosen, rejected)


def dpop_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    target_probabilities: Tensor | None = None,
    beta: float,
    penalty_weight: float,
) -> PairLoss:
    """DPO-Positive (Pal et al. 2024, arXiv 2402.13228, eq. 3).

        loss = -log sigmoid(beta * (m - lambda * max(0, reference_chosen - policy_chosen)))

    The penalty stands inside the sigmoid and acts only while the chosen answer is less likely than
    under the reference. With `target_probabilities` the penalty is on the rejected answer where
    that is the better one: a tie keeps both from falling.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1], the loss in expectation over the label; None means 1.
        beta: > 0.
        penalty_weight: the paper's lambda, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )

    def of(better: Tensor, worse: Tensor) -> Tensor:
        return bradley_terry(beta * (better - worse - penalty_weight * relu(-better)))

    losses = expected_loss(of, chosen, rejected, target_probabilities)
    return _rewarded(losses, beta, chosen, rejected)


def r_dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    *,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    target_probabilities: Tensor | None = None,
    beta: float,
    alpha: float,
) -> PairLoss:
    """Length-regularised DPO (Park et al. 2024, arXiv 2403.19159).

        loss = -log sigmoid(beta * m + alpha * (|chosen| - |rejected|))

    The reward is penalised by alpha a token, so a longer winner starts ahead and pushes less.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        chosen_lengths, rejected_lengths: [b] tokens.
        target_probabilities: [b] in [0, 1], as in `dpo_loss`; None means 1.
        beta: > 0.
        alpha: nats a token, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    chosen, rejected = pair_log_ratios(
        policy_chosen_logps,
        policy_rejected_logps,
        reference_chosen_logps,
        reference_rejected_logps,
    )
    check_batch(ratios=chosen, chosen_lengths=chosen_lengths, rejected_lengths=rejected_lengths)
    logits = beta * (chosen - rejected) + alpha * (chosen_lengths - rejected_lengths)
    return _rewarded(bradley_terry(logits, target_probabilities), beta, chosen, rejected)


def _likelihood(
    policy: tuple[Tensor, Tensor],
    lengths: tuple[Tensor | None, Tensor | None],
    target_probabilities: Tensor | None,
) -> Tensor:
    """The mean log-probability of a token of the better answer, expected over the label: [b]."""
    if lengths[0] is None:
        raise ValueError("nll_weight needs chosen_lengths")
    chosen = a_token(policy[0], lengths[0])
    if target_probabilities is None:
        return chosen
    if lengths[1] is None:
        raise ValueError("nll_weight needs rejected_lengths with target_probabilities")
    other = a_token(policy[1], lengths[1])
    return target_probabilities * chosen + (1.0 - target_probabilities) * other


def _rewarded(losses: Tensor, beta: float, chosen: Tensor, rejected: Tensor) -> PairLoss:
    return PairLoss(losses, (beta * chosen).detach(), (beta * rejected).detach())
