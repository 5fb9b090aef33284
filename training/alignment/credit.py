"""Which tokens of an answer the policy came to value: an analysis, not a loss."""

from torch import Tensor


def token_credit(
    policy_token_logps: Tensor, reference_token_logps: Tensor, *, beta: float
) -> Tensor:
    """DPO's reward of each token (Rafailov et al. 2024, From r to Q*, arXiv 2404.12358, eq. 14).

        credit_t = beta * (log policy(y_t | x, y_<t) - log reference(y_t | x, y_<t))

    In the token-level view a DPO policy is an optimal Q-function, and these are its advantages.
    They sum to the answer's implicit reward.

    Args:
        policy_token_logps, reference_token_logps: one shape, […, t], in nats.
        beta: that of the training, > 0.

    Returns:
        […, t], detached.

    Raises:
        ValueError: when the shapes differ.
    """
    if policy_token_logps.shape != reference_token_logps.shape:
        raise ValueError(
            f"policy_token_logps {list(policy_token_logps.shape)} and reference_token_logps "
            f"{list(reference_token_logps.shape)} must have one shape"
        )
    return (beta * (policy_token_logps - reference_token_logps)).detach()
