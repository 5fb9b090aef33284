"""What losses return, what they ask of their arguments' shapes, and what pair losses share."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor
from torch.nn.functional import logsigmoid

Side = TypeVar("Side")


class PairLoss(NamedTuple):
    """Per-pair losses and the detached implicit rewards of both sides, each of shape [b]."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


class BinaryLoss(NamedTuple):
    """Per-completion losses and detached implicit rewards, each of shape [b]."""

    losses: Tensor
    rewards: Tensor


class DemonstrationLoss(NamedTuple):
    """Per-completion losses [b]. Likelihood alone implies no reward."""

    losses: Tensor


class ListLoss(NamedTuple):
    """Per-list losses [b] and the detached rewards of all entries [b, k], 0 where there is none."""

    losses: Tensor
    list_rewards: Tensor


def check_batch(**tensors: Tensor | None) -> None:
    """Raise ValueError unless all given tensors have one and the same shape [b]."""
    _check_shape("[b]", 1, tensors)


def check_lists(**tensors: Tensor | None) -> None:
    """Raise ValueError unless all given tensors have one and the same shape [b, k]."""
    _check_shape("[b, k]", 2, tensors)


def check_probabilities(target_probabilities: Tensor | None) -> None:
    """Raise ValueError unless all lie in [0, 1]."""
    values = target_probabilities
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        raise ValueError("target_probabilities must lie between 0 and 1")


def _check_shape(words: str, dimensions: int, tensors: dict[str, Tensor | None]) -> None:
    shapes = {name: tuple(value.shape) for name, value in tensors.items() if value is not None}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != dimensions:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"expected tensors of one shape {words}, got {listed}")


def pair_log_ratios(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
) -> tuple[Tensor, Tensor]:
    """log policy - log reference of both sides, each [b], without gradient to the reference.

    Raises:
        ValueError: when the shapes differ or are not [b].
    """
    check_batch(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        reference_chosen_logps=reference_chosen_logps,
        reference_rejected_logps=reference_rejected_logps,
    )
    return (
        policy_chosen_logps - reference_chosen_logps.detach(),
        policy_rejected_logps - reference_rejected_logps.detach(),
    )


def normalised_ratios(
    chosen: Tensor,
    rejected: Tensor,
    chosen_lengths: Tensor | None,
    rejected_lengths: Tensor | None,
    normalisation: str,
) -> tuple[Tensor, Tensor]:
    """Log-ratios [b] of whole answers, as they are ("summed") or a token ("averaged").

    An empty answer counts as one token, whose ratio is 0.

    Raises:
        ValueError: when the shapes differ or are not [b], averaged ones have no lengths, or the
            normalisation is unknown.
    """
    check_batch(ratios=chosen, chosen_lengths=chosen_lengths, rejected_lengths=rejected_lengths)
    if normalisation == "summed":
        return chosen, rejected
    if normalisation != "averaged":
        raise ValueError(f"normalisation must be summed or averaged, not {normalisation!r}")
    if chosen_lengths is None or rejected_lengths is None:
        raise ValueError("averaged needs chosen_lengths and rejected_lengths")
    # By the count of tokens, never by the count of ratios that are not 0: at the start all are.
    return a_token(chosen, chosen_lengths), a_token(rejected, rejected_lengths)


def a_token(sums: Tensor, lengths: Tensor) -> Tensor:
    """Means [b] of sums over so many tokens; 0 of an answer without any, whose sum is 0.

    One row of 0/0 would make the whole step's gradient NaN, whatever its weight.
    """
    return sums / lengths.clamp(min=1)


def bradley_terry(logits: Tensor, target_probabilities: Tensor | None = None) -> Tensor:
    """-log sigmoid(logits), or the cross-entropy with P(first is better) = target. All [b].

    Raises:
        ValueError: when the shapes differ or are not [b], or a target lies outside [0, 1].
    """
    check_batch(logits=logits, target_probabilities=target_probabilities)
    check_probabilities(target_probabilities)
    # Not softplus: torch's is cut off at 20, where the loss of a confident pair still has digits.
    losses = -logsigmoid(logits)
    if target_probabilities is None:
        return losses
    return target_probabilities * losses - (1.0 - target_probabilities) * logsigmoid(-logits)


def expected_loss(
    loss: Callable[[Side, Side], Tensor],
    chosen: Side,
    rejected: Side,
    target_probabilities: Tensor | None,
) -> Tensor:
    """A pair's loss in expectation over its label: p * loss(w, l) + (1 - p) * loss(l, w), [b].

    Args:
        loss: of the better and the worse side, [b].
        chosen, rejected: what the loss wants to know of either side.
        target_probabilities: p [b] in [0, 1], that the chosen side is the better one; None means 1.

    Raises:
        ValueError: when the shapes differ or are not [b], or a target lies outside [0, 1].
    """
    losses = loss(chosen, rejected)
    if target_probabilities is None:
        return losses
    check_batch(losses=losses, target_probabilities=target_probabilities)
    check_probabilities(target_probabilities)
    swapped = loss(rejected, chosen)
    return target_probabilities * losses + (1.0 - target_probabilities) * swapped
