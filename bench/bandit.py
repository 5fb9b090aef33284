"""A world of one prompt and a few answers, where a softmax policy learns by the library's losses.

An answer is one token long, so that its log-probability is that of its arm.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from training.alignment.methods import get_method, parse_hyperparameters


@dataclass(frozen=True)
class Data:
    """Which arms fill which roles: role -> [n] arms, or [n, k] for lists; a weight for each row."""

    arms: Mapping[str, Tensor]
    weights: Tensor
    known: Mapping[str, Tensor]  # labels, list_ranks, target_probabilities


def all_pairs(rewards: Tensor, *, certain: bool = False) -> Data:
    """Every ordered pair, weighted by its Bradley-Terry probability (or by who is better)."""
    count = len(rewards)
    left, right = (index.flatten() for index in torch.meshgrid(
        torch.arange(count), torch.arange(count), indexing="ij"
    ))  # fmt: skip
    gaps = rewards[left] - rewards[right]
    weights = (gaps > 0).to(rewards) if certain else torch.sigmoid(gaps)
    used = (left != right) & (weights > 0)
    return pairs(left[used], right[used], weights[used])


def pairs(chosen: Tensor, rejected: Tensor, weights: Tensor) -> Data:
    targets = torch.ones_like(weights)
    known = {"target_probabilities": targets, "margins": torch.zeros_like(weights)}
    return Data({"chosen": chosen, "rejected": rejected}, weights, known)


def thumbs_of(data: Data) -> Data:
    """Each pair's chosen answer as a good one, its rejected one as a bad one."""
    arms = torch.cat([data.arms["chosen"], data.arms["rejected"]])
    labels = torch.cat([torch.ones_like(data.weights), torch.zeros_like(data.weights)])
    return Data(
        {"completion": arms, "mismatched": arms}, data.weights.repeat(2), {"labels": labels}
    )


def ranking_of(rewards: Tensor) -> Data:
    """One list of all answers, ranked by their rewards."""
    ranks = rewards.argsort(descending=True).argsort() + 1
    arms = torch.arange(len(rewards)).unsqueeze(0)
    return Data({"list": arms}, torch.ones(1), {"list_ranks": ranks.unsqueeze(0)})


def demonstrations_of(rewards: Tensor) -> Data:
    """Every answer, shown as often as its reward is large."""
    arms = torch.arange(len(rewards))
    return Data({"completion": arms}, torch.softmax(rewards, dim=0), {})


def data_for(kind: str, rewards: Tensor) -> Data:
    """Data of a method's kind, all from the same rewards."""
    made = {
        "pairs": all_pairs,
        "binary": lambda values: thumbs_of(all_pairs(values)),
        "lists": ranking_of,
        "demonstrations": demonstrations_of,
    }
    return made[kind](rewards)


def fit(
    name: str, data: Data, reference: Tensor, *, steps: int, rate: float = 0.05, **options: Any
) -> Tensor:
    """Train by full-batch Adam from the reference; the last log-probabilities (or scores): [a]."""
    method = get_method(name)
    options = asdict(parse_hyperparameters(method, options))
    values = torch.nn.Parameter(
        torch.zeros_like(reference) if method.trains == "reward" else reference.clone()
    )
    optimizer = torch.optim.Adam([values], lr=rate)
    state: dict[str, float] = {}
    for _ in range(steps):
        logps = values if method.trains == "reward" else torch.log_softmax(values, dim=0)
        given = {**options, **_arguments(data, logps, reference), "state": state}
        statistic = method.load_step_statistic()
        found = _called(statistic, given) if statistic else {}
        state = found.pop("state", {})
        weights = data.weights * found.pop("keep", 1.0)
        losses = _called(method.load_loss(), {**given, **found}).losses
        optimizer.zero_grad()
        ((weights * losses).sum() / weights.sum()).backward()
        optimizer.step()
    learned = values.detach()
    return learned if method.trains == "reward" else torch.log_softmax(learned, dim=0)


def expected_reward(log_probs: Tensor, rewards: Tensor) -> float:
    return float((log_probs.exp() * rewards).sum())


def best_policy(rewards: Tensor, reference: Tensor, beta: float) -> Tensor:
    """What RLHF aims at: log-probabilities of reference * exp(reward / beta), normalised."""
    return torch.log_softmax(reference + rewards / beta, dim=0)


def _arguments(data: Data, logps: Tensor, reference: Tensor) -> dict[str, Any]:
    given: dict[str, Any] = {**data.known, "step_tokens": torch.ones(())}
    for role, arms in data.arms.items():
        given[f"policy_{role}_logps"] = given[f"{role}_scores"] = logps[arms]
        given[f"reference_{role}_logps"] = reference[arms]
        given[f"{role}_lengths"] = torch.ones(arms.shape)
    return given


def _called(function: Any, given: Mapping[str, Any]) -> Any:
    return function(**{name: given[name] for name in _named(function) if name in given})


@cache
def _named(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
