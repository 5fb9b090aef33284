"""Ranked lists: DPO under the Plackett-Luce model."""

import torch
from torch import Tensor

from training.alignment.losses.results import ListLoss, check_lists


def plackett_luce_loss(
    policy_list_logps: Tensor,
    reference_list_logps: Tensor,
    *,
    list_ranks: Tensor,
    beta: float,
    ties: str = "left_out",
) -> ListLoss:
    """DPO of a whole ranking (Rafailov et al. 2023, arXiv 2305.18290, appendix A.3, eq. 20).

    With s = beta * (policy - reference) and entries from best to worst:

        loss = sum over i of logsumexp(s_j for j not above i) - s_i

    Two entries give DPO's loss. The paper has no ties. "left_out": tied entries do not compete,
    so a tie says nothing, as in pairs: entry i stands against itself and what is worse.
    "pulled_together": tied entries compete with each other (Breslow's likelihood), so that their
    rewards are drawn towards equality.

    Args:
        policy_list_logps: [b, k], with gradient; what stands at padding is ignored.
        reference_list_logps: [b, k], treated as constants.
        list_ranks: [b, k] integers, 1 is best, equal is a tie, 0 is padding.
        beta: > 0.
        ties: "left_out" or "pulled_together".

    Raises:
        ValueError: when the shapes differ or are not [b, k], or `ties` is unknown.
    """
    check_lists(
        policy_list_logps=policy_list_logps,
        reference_list_logps=reference_list_logps,
        list_ranks=list_ranks,
    )
    if ties not in ("left_out", "pulled_together"):
        raise ValueError(f"ties must be left_out or pulled_together, not {ties!r}")
    there = list_ranks > 0
    rewards = beta * (policy_list_logps - reference_list_logps.detach())
    rewards = rewards.masked_fill(~there, 0.0)
    own, other = list_ranks.unsqueeze(2), list_ranks.unsqueeze(1)
    below = other >= own if ties == "pulled_together" else other > own
    # An entry always stands against itself, so that no row is empty.
    itself = torch.eye(list_ranks.shape[1], dtype=torch.bool, device=list_ranks.device)
    field = (below & there.unsqueeze(1)) | itself
    against = rewards.unsqueeze(1).expand(-1, list_ranks.shape[1], -1)
    totals = torch.logsumexp(against.masked_fill(~field, -torch.inf), dim=2)
    losses = ((totals - rewards) * there).sum(1)
    return ListLoss(losses, rewards.detach())
