"""From per-example results to the numbers of one metrics line.

Records are [n, k] tensors, one row an example and one column a name of COLUMNS, so that processes
can gather them. What a kind of data does not have is NaN. For binary data a desirable completion
counts as chosen and an undesirable one as rejected; a demonstration counts as chosen; of a list the
best entries count as chosen and the worst as rejected. A pair that ties (target 0.5) has a loss but
no rewards: it takes no part in accuracy and margin, for neither of its answers is the better one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from training.alignment.batches import LIST_ROLE, list_ranks
from training.alignment.losses import DemonstrationLoss
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
    "loss_weight",
    "score_mean",
    "pair_accuracy",
    "kendall_tau",
    "best_first",
    "tokens",
)
# Of a summed log-probability in float32, when the same sequence is scored in another batch.
ROUNDING = 1e-5


def records(
    output: Any,
    policy: LogProbs,
    reference: LogProbs,
    examples: Sequence[Example],
    *,
    scores: bool = False,
    loss_weights: Tensor | None = None,
) -> Tensor:
    """Detached per-example columns [b, k] of one micro-batch, in the order of COLUMNS.

    Args:
        output: what the loss returned.
        policy, reference: log-probabilities by role, or a reward model's scores and nothing.
        scores: whether `policy` holds a reward model's scores.
        loss_weights: [b] the share of each example in the step's loss; its weight when left out.
    """
    losses = output.losses.detach()
    weights = torch.tensor([example.weight for example in examples]).to(losses)
    policy = {role: values.detach() for role, values in policy.items()}
    columns = {
        "loss": losses,
        "weight": weights,
        "loss_weight": weights if loss_weights is None else loss_weights.to(losses),
        **_without_ties(_sides(examples, "reward", _rewards(output)), examples),
    }
    if scores:
        columns["score_mean"] = _score_mean(policy, examples)
    else:
        ratios = {role: policy[role] - reference[role] for role in policy if role in reference}
        columns |= _sides(examples, "log_probability", policy)
        columns |= _sides(examples, "log_ratio", ratios)
    if LIST_ROLE in policy:
        rewards = without_rounding(output.list_rewards.detach(), policy, reference)
        columns |= list_agreement(rewards, list_ranks(examples, rewards.device))
    if isinstance(output, DemonstrationLoss):
        tokens = [example.sequences["completion"].trained_tokens for example in examples]
        columns["tokens"] = torch.tensor(tokens).to(losses)
    return _stacked(columns, losses)


def summarize(rows: Tensor) -> dict[str, float]:
    """Weighted means over the rows; names whose side is absent are left out.

    Of demonstrations also the negative log-likelihood of a token, `nll`, and `perplexity`, its
    exponential.
    """
    rows = rows.double()
    columns = {name: rows[:, index] for index, name in enumerate(COLUMNS)}
    weights, loss_weights = columns.pop("weight"), columns.pop("loss_weight")
    tokens, losses = columns.pop("tokens"), columns.pop("loss")
    means = {"loss": weighted_mean(losses, loss_weights)}
    means |= {name: weighted_mean(values, weights) for name, values in columns.items()}
    means["reward_margin"] = means["chosen_reward"] - means["rejected_reward"]
    if not columns["chosen_reward"].isnan().all() or not columns["rejected_reward"].isnan().all():
        means["accuracy"] = weighted_mean(correctness(rows), weights)
    means["nll"] = weighted_mean(-columns["chosen_log_probability"] / tokens, weights * tokens)
    means["perplexity"] = math.exp(min(means["nll"], 700.0))
    return {name: value for name, value in means.items() if math.isfinite(value)}


def correctness(rows: Tensor) -> Tensor:
    """Per example [n]: 1 when the rewards are on the right side, 0 when not, 0.5 when equal.

    A pair is right when chosen has the larger reward; a lone completion when the sign of its
    reward agrees with its label; what has no reward at all is NaN. Log-ratios that differ by no
    more than float32 rounds count as equal: a policy that is the reference is right half of the
    time, not as its rounding falls.
    """
    column = {name: rows[:, index].nan_to_num(0.0) for index, name in enumerate(COLUMNS)}
    difference = column["chosen_reward"] - column["rejected_reward"]
    ratio = (column["log_ratio_chosen"] - column["log_ratio_rejected"]).abs()
    size = column["chosen_log_probability"].abs() + column["rejected_log_probability"].abs()
    # Without a reference the ratios are exactly 0, and the rewards alone decide.
    rounded = (ratio > 0) & (ratio <= ROUNDING * size)
    right = 0.5 + 0.5 * torch.sign(difference.masked_fill(rounded, 0.0))
    places = [COLUMNS.index(name) for name in ("chosen_reward", "rejected_reward")]
    return right.masked_fill(rows[:, places].isnan().all(dim=1), math.nan)


def token_accuracy(hits: Tensor, examples: Sequence[Example]) -> float:
    """Share of right tokens, of `hits` [b] in each demonstration's completion."""
    weights = torch.tensor([example.weight for example in examples]).double()
    tokens = [example.sequences["completion"].trained_tokens for example in examples]
    return float((weights * hits.cpu()).sum() / (weights * torch.tensor(tokens)).sum())


def drift(rows: Tensor) -> tuple[float, float]:
    """Mean |log policy - log reference| and mean |log policy| of a completion, in nats."""
    column = {name: rows[:, index].double() for index, name in enumerate(COLUMNS)}
    ratios = torch.cat([column["log_ratio_chosen"], column["log_ratio_rejected"]])
    sizes = torch.cat([column["chosen_log_probability"], column["rejected_log_probability"]])
    return float(ratios.abs().nanmean()), float(sizes.abs().nanmean())


def moved(reference: LogProbs, rows: Tensor) -> dict[str, Tensor]:
    """The policy's log-probabilities of pairs, from the reference's and the rows' log-ratios."""
    return {
        role: values + rows[:, COLUMNS.index(f"log_ratio_{role}")].to(values)
        for role, values in reference.items()
    }


def list_agreement(rewards: Tensor, ranks: Tensor) -> dict[str, Tensor]:
    """How well rewards [b, k] order lists as their ranks [b, k] do, per list [b].

    `pair_accuracy` is the share of pairs of different ranks that are ordered right, equal rewards
    counting half; `kendall_tau` is Kendall's tau-b, which allows for ties on both sides;
    `best_first` tells whether a best entry has the largest reward. Rank 0 stands for no entry; a
    list without a pair of different ranks has NaN.
    """
    present = ranks > 0
    both = (present[:, :, None] & present[:, None, :]).triu(diagonal=1)
    by_rank = torch.sign(ranks[:, None, :] - ranks[:, :, None]).to(rewards)
    by_reward = torch.sign(rewards[:, :, None] - rewards[:, None, :])
    decided, separated = both & (by_rank != 0), both & (by_reward != 0)
    agreement = (by_rank * by_reward * both).sum(dim=(1, 2))
    count, distinct = (pairs.sum(dim=(1, 2)).to(rewards) for pairs in (decided, separated))
    top = rewards.masked_fill(~present, -math.inf).argmax(dim=1, keepdim=True)
    first = (ranks.gather(1, top) == 1)[:, 0].to(rewards)
    tau = agreement / (count * distinct).sqrt()
    return {
        "pair_accuracy": 0.5 + 0.5 * agreement / count,
        # Rewards that are all equal say nothing about the order.
        "kendall_tau": torch.where((count > 0) & (distinct == 0), 0.0, tau),
        "best_first": torch.where(count > 0, first, math.nan),
    }


def without_rounding(rewards: Tensor, policy: LogProbs, reference: LogProbs) -> Tensor:
    """Rewards of lists, 0 where policy and reference differ by no more than float32 rounds."""
    if LIST_ROLE not in reference:
        return rewards
    ratio = policy[LIST_ROLE] - reference[LIST_ROLE]
    return rewards.masked_fill(ratio.abs() <= ROUNDING * policy[LIST_ROLE].abs(), 0.0)


def weighted_mean(values: Tensor, weights: Tensor) -> float:
    """Mean over the entries that are not NaN; NaN when there is none."""
    known = ~values.isnan()
    total = weights[known].sum()
    return float((values[known] * weights[known]).sum() / total) if total > 0 else math.nan


def _rewards(output: Any) -> dict[str, Tensor]:
    """The rewards that the loss returned, by role; a demonstration has none to compare."""
    if isinstance(output, DemonstrationLoss):
        return {}
    names = {
        "chosen": "chosen_rewards",
        "rejected": "rejected_rewards",
        "completion": "rewards",
        LIST_ROLE: "list_rewards",
    }
    return {
        role: getattr(output, name).detach()
        for role, name in names.items()
        if hasattr(output, name)
    }


def _sides(examples: Sequence[Example], name: str, values: LogProbs) -> dict[str, Tensor]:
    """What is chosen and what is rejected, as two columns."""
    if "chosen" in values:
        chosen, rejected = values["chosen"], values.get("rejected")
    elif LIST_ROLE in values:
        chosen, rejected = _ends(values[LIST_ROLE], list_ranks(examples, values[LIST_ROLE].device))
    elif "completion" in values:
        completion = values["completion"]
        good = torch.tensor([example.target == 1.0 for example in examples])
        good = good.to(completion.device)
        chosen = completion.masked_fill(~good, math.nan)
        rejected = completion.masked_fill(good, math.nan)
    else:
        return {}
    names = ("log_ratio_chosen", "log_ratio_rejected")
    if name != "log_ratio":
        names = (f"chosen_{name}", f"rejected_{name}")
    return {names[0]: chosen} | ({} if rejected is None else {names[1]: rejected})


def _without_ties(rewards: Mapping[str, Tensor], examples: Sequence[Example]) -> dict[str, Tensor]:
    ties = torch.tensor([example.target == 0.5 for example in examples])
    return {
        name: values.masked_fill(ties.to(values.device), math.nan)
        for name, values in rewards.items()
    }


def _ends(values: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the best and over the worst entries of each list: [b, k] to [b] twice."""
    lowest = ranks.amax(dim=1, keepdim=True)
    return _masked_mean(values, ranks == 1), _masked_mean(values, (ranks == lowest) & (ranks > 0))


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(dim=1) / mask.sum(dim=1)


def _score_mean(policy: LogProbs, examples: Sequence[Example]) -> Tensor:
    """Mean score of an example's completions: [b]."""
    if LIST_ROLE in policy:
        return _masked_mean(policy[LIST_ROLE], list_ranks(examples, policy[LIST_ROLE].device) > 0)
    return torch.stack(list(policy.values())).mean(dim=0)


def _stacked(columns: Mapping[str, Tensor], like: Tensor) -> Tensor:
    missing = torch.full_like(like, math.nan)
    return torch.stack([columns.get(name, missing).to(like) for name in COLUMNS], dim=1)
