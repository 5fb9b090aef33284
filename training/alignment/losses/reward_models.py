"""Reward models: losses of scores, one scalar a completion."""

import torch
from torch import Tensor

from training.alignment.losses.results import (
    ListLoss,
    PairLoss,
    bradley_terry,
    check_batch,
    check_lists,
    expected_loss,
)


def bradley_terry_loss(
    chosen_scores: Tensor,
    rejected_scores: Tensor,
    *,
    margins: Tensor | None = None,
    target_probabilities: Tensor | None = None,
    margin_scale: float = 0.0,
    centering_weight: float = 0.0,
) -> PairLoss:
    """Bradley-Terry reward model (Stiennon et al. 2020, arXiv 2009.01325, section 3.4).

        loss = -log sigmoid(chosen - rejected - mu) + c * (chosen + rejected)^2

    mu = margin_scale * margins asks more of pairs that judges found far apart (Touvron et al.
    2023, arXiv 2307.09288, eq. 2); c holds the scores' mean at 0 (Eisenstein et al. 2023,
    arXiv 2312.09244). Soft labels p enter as the expectation over the label, as in
    `soft_label_reward_loss`; mu is asked of whichever answer is the better one.

    Args:
        chosen_scores, rejected_scores: [b], with gradient.
        margins: [b] >= 0, each pair's strength; None means 0.
        target_probabilities: p [b] in [0, 1]; None means 1.
        margin_scale: score units per unit of strength, >= 0.
        centering_weight: c, >= 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(chosen_scores=chosen_scores, rejected_scores=rejected_scores, margins=margins)
    asked: Tensor | float = 0.0 if margins is None else margin_scale * margins

    def of(better: Tensor, worse: Tensor) -> Tensor:
        return bradley_terry(better - worse - asked)

    losses = expected_loss(of, chosen_scores, rejected_scores, target_probabilities)
    losses = losses + centering_weight * (chosen_scores + rejected_scores).square()
    return PairLoss(losses, chosen_scores.detach(), rejected_scores.detach())


def soft_label_reward_loss(
    chosen_scores: Tensor, rejected_scores: Tensor, *, target_probabilities: Tensor
) -> PairLoss:
    """Reward model of soft labels (Lee et al. 2023, RLAIF, arXiv 2309.00267, section 2.2.1).

        loss = p * -log sigmoid(d) + (1 - p) * -log sigmoid(-d),  d = chosen - rejected

    Args:
        chosen_scores, rejected_scores: [b], with gradient.
        target_probabilities: p [b] in [0, 1], the probability that the first answer is better.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    losses = bradley_terry(chosen_scores - rejected_scores, target_probabilities)
    return PairLoss(losses, chosen_scores.detach(), rejected_scores.detach())


def all_pairs_loss(list_scores: Tensor, *, list_ranks: Tensor) -> ListLoss:
    """InstructGPT's reward model: all pairs of a prompt at once (arXiv 2203.02155, eq. 1).

        loss = mean over pairs i ranked above j of -log sigmoid(score_i - score_j)

    Without ties that is the paper's 1 / C(K, 2). Tied pairs are left out of sum and count; a list
    without an ordered pair has loss 0.

    Args:
        list_scores: [b, k], with gradient; what stands at padding is ignored.
        list_ranks: [b, k] integers, 1 is best, equal is a tie, 0 is padding.

    Raises:
        ValueError: when the shapes differ or are not [b, k].
    """
    check_lists(list_scores=list_scores, list_ranks=list_ranks)
    there = list_ranks > 0
    scores = list_scores.masked_fill(~there, 0.0)
    better = list_ranks.unsqueeze(2) < list_ranks.unsqueeze(1)  # [b, i, j]: i above j
    ordered = (better & there.unsqueeze(2) & there.unsqueeze(1)).to(scores.dtype)
    gaps = scores.unsqueeze(2) - scores.unsqueeze(1)
    pairs = bradley_terry(gaps.flatten()).reshape(gaps.shape)
    losses = (ordered * pairs).sum((1, 2)) / ordered.sum((1, 2)).clamp(min=1.0)
    return ListLoss(losses, scores.detach())


def position_debiased_probabilities(first_order: Tensor, second_order: Tensor) -> Tensor:
    """A judge's P(A is better), averaged over both orders of showing (arXiv 2309.00267, 2.1.1).

    Args:
        first_order: [b, 2] log-probabilities of the answers "1" and "2" when A is shown first.
        second_order: [b, 2] the same when B is shown first.

    Returns:
        [b]: the mean of P("1" | A, B) and P("2" | B, A), each over the two answers alone.
    """
    a_first = torch.softmax(first_order, dim=-1)[..., 0]
    a_second = torch.softmax(second_order, dim=-1)[..., 1]
    return 0.5 * (a_first + a_second)
