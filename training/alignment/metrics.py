"""From per-example results to the numbers of one metrics line.

Records are [n, k] tensors, one row an example and one column a name of COLUMNS, so that processes
can gather them. For binary data a desirable completion counts as chosen, an undesirable one as
rejected, and the other side's columns are NaN.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from training.alignment.losses import BinaryLoss, PairLoss
from training.alignment.objective import LogProbs
from training.alignment.tokenization import Example

COLUMNS = (
    "loss",
    "weight",
    "chosen_reward",
    "rejected_reward",
    "chosen_log_probability",
    "rejected_log_probability",
    "log_ratio_chosen",
    "log_ratio_rejected",
)
# Of a summed log-probability in float32, when the same sequence is scored in another batch.
ROUNDING = 1e-5


def records(
    output: PairLoss | BinaryLoss,
    policy: LogProbs,
    reference: LogProbs,
    examples: Sequence[Example],
) -> Tensor:
    """Detached per-example columns [b, k] of one micro-batch, in the order of COLUMNS."""
    losses = output.losses.detach()
    weights = torch.tensor([example.weight for example in examples]).to(losses)
    if isinstance(output, PairLoss):
        rewards = (output.chosen_rewards, output.rejected_rewards)
        log_probs = (policy["chosen"].detach(), policy["rejected"].detach())
        ratios = tuple(
            policy[role].detach() - reference.get(role, policy[role].detach())
            for role in ("chosen", "rejected")
        )
    else:
        good = torch.tensor([example.target == 1.0 for example in examples], device=losses.device)
        values = policy["completion"].detach()
        rewards = _sides(output.rewards, good)
        log_probs = _sides(values, good)
        ratios = _sides(values - reference.get("completion", values), good)
    return torch.stack([losses, weights, *rewards, *log_probs, *ratios], dim=1)


def summarize(rows: Tensor) -> dict[str, float]:
    """Weighted means over the rows; names whose side is absent are left out."""
    rows = rows.double()
    columns = {name: rows[:, index] for index, name in enumerate(COLUMNS)}
    weights = columns.pop("weight")
    means = {name: weighted_mean(values, weights) for name, values in columns.items()}
    means["reward_margin"] = means["chosen_reward"] - means["rejected_reward"]
    means["accuracy"] = weighted_mean(correctness(rows), weights)
    return {name: value for name, value in means.items() if math.isfinite(value)}


def correctness(rows: Tensor) -> Tensor:
    """Per example [n]: 1 when the rewards are on the right side, 0 when not, 0.5 when equal.

    A pair is right when chosen has the larger reward; a lone completion when the sign of its
    reward agrees with its label. Log-ratios that differ by no more than float32 rounds count as
    equal: a policy that is the reference is right half of the time, not as its rounding falls.
    """
    column = {name: rows[:, index].nan_to_num(0.0) for index, name in enumerate(COLUMNS)}
    difference = column["chosen_reward"] - column["rejected_reward"]
    ratio = (column["log_ratio_chosen"] - column["log_ratio_rejected"]).abs()
    size = column["chosen_log_probability"].abs() + column["rejected_log_probability"].abs()
    # Without a reference the ratios are exactly 0, and the rewards alone decide.
    rounded = (ratio > 0) & (ratio <= ROUNDING * size)
    return 0.5 + 0.5 * torch.sign(difference.masked_fill(rounded, 0.0))


def weighted_mean(values: Tensor, weights: Tensor) -> float:
    """Mean over the entries that are not NaN; NaN when there is none."""
    known = ~values.isnan()
    total = weights[known].sum()
    return float((values[known] * weights[known]).sum() / total) if total > 0 else math.nan


def _sides(values: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    missing = torch.full_like(values, math.nan)
    return torch.where(good, values, missing), torch.where(good, missing, values)
