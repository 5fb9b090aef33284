"""Supervised fine-tuning: the likelihood of demonstrations."""

from torch import Tensor

from training.alignment.losses.results import DemonstrationLoss, a_token, check_batch


def sft_loss(policy_completion_logps: Tensor, *, completion_lengths: Tensor) -> DemonstrationLoss:
    """Mean negative log-likelihood of a completion's tokens, in nats a token.

        loss = -policy / |completion|

    Weighted by the completions' lengths over a whole optimiser step this is the mean over tokens;
    plain means of micro-batches would count the tokens of short completions more.

    Args:
        policy_completion_logps: [b] sums over the completion, with gradient.
        completion_lengths: [b] tokens; an empty completion has loss 0.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_completion_logps=policy_completion_logps, completion_lengths=completion_lengths
    )
    return DemonstrationLoss(-a_token(policy_completion_logps, completion_lengths))


def sft_sequence_loss(policy_completion_logps: Tensor) -> DemonstrationLoss:
    """Negative log-likelihood of whole completions, in nats a completion: loss = -policy.

    Args:
        policy_completion_logps: [b] sums over the completion, with gradient.

    Raises:
        ValueError: when the shape is not [b].
    """
    check_batch(policy_completion_logps=policy_completion_logps)
    return DemonstrationLoss(-policy_completion_logps)
