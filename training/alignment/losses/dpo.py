"""Direct preference optimisation and its kin: pairs, relative to a reference."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from training.alignment.losses.results import PairLoss, check_batch


def dpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    target_probabilities: Tensor | None = None,
    *,
    beta: float,
) -> PairLoss:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    With m = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected):

        loss = -log sigmoid(beta * m)

    With `target_probabilities` p, the probability that the first answer really is the better one,
    the loss is the cross-entropy p * -log sigmoid(beta * m) + (1 - p) * -log sigmoid(-beta * m):
    p = 1 is the paper's loss, p = 0.5 a tie, p = 1 - epsilon conservative DPO.

    Args:
        policy_chosen_logps, policy_rejected_logps: [b], with gradient.
        reference_chosen_logps, reference_rejected_logps: [b], treated as constants.
        target_probabilities: [b] in [0, 1]; None means 1.
        beta: strength of the pull towards the reference, > 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        reference_chosen_logps=reference_chosen_logps,
        reference_rejected_logps=reference_rejected_logps,
        target_probabilities=target_probabilities,
    )
    chosen_rewards = beta * (policy_chosen_logps - reference_chosen_logps.detach())
    rejected_rewards = beta * (policy_rejected_logps - reference_rejected_logps.detach())
    margins = chosen_rewards - rejected_rewards
    # Not softplus: torch's is cut off at 20, where the loss of a confident pair still has digits.
    losses = -logsigmoid(margins)
    if target_probabilities is not None:
        certain, doubt = target_probabilities, 1.0 - target_probabilities
        losses = certain * losses - doubt * logsigmoid(-margins)
    return PairLoss(losses, chosen_rewards.detach(), rejected_rewards.detach())
