"""A reward model on held-out preferences: accuracy, calibration, and scores by slice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.alignment.batches import LIST_ROLE, list_ranks
from training.alignment.config import TrainingConfig
from training.alignment.estimates import Floats, bootstrap, bootstrap_share
from training.alignment.evaluation.calibration import (
    calibration_error,
    confidences,
    reliability,
)
from training.alignment.journal import Journal
from training.alignment.models import load_tokenizer
from training.alignment.objective import Objective
from training.alignment.reward_model import RewardScorer, load_reward_model
from training.alignment.run_data import load_examples
from training.alignment.scoring import by_role, score_all, split_roles
from training.alignment.tokenization import Example

# A slice of fewer pairs says nothing.
FEWEST = 5
# Of many tags the most frequent ones.
MOST_TAGS = 12
LENGTH = "length"
QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")


@dataclass(frozen=True)
class Comparison:
    """One pair of completions: the scores of the better and the other, and what it belongs to."""

    chosen: float
    rejected: float
    target: float
    weight: float
    example: Example
    longer: bool

    @property
    def difference(self) -> float:
        return self.chosen - self.rejected


def evaluate_reward_model(
    config: TrainingConfig, model: Path, device: torch.device, journal: Journal
) -> dict[str, Any]:
    """Figures of a reward model's folder on the run's held-out side."""
    objective = Objective.from_config(config)
    tokenizer = load_tokenizer(model)
    examples, report = load_examples(config, objective, tokenizer, str(config.held_out_file))
    journal.progress("evaluating", 0, 1, f"Scoring {len(examples)} held-out examples.")
    # In float32 whatever the run computes in: so it will score what a policy writes.
    scorer = RewardScorer(load_reward_model(model, dtype=torch.float32, device=device))
    sequences = by_role(examples, objective.roles)
    values = score_all(scorer, sequences, device, batch_size=2 * config.batch_size).cpu()
    scores = split_roles(values, objective.roles, examples)
    losses = objective.loss(scores, {}, examples, objective.statistic(scores, {}, examples)).losses
    compared = comparisons(scores, examples)
    journal.progress("evaluating", 1, 1, f"Compared {len(compared)} pairs of answers.")
    return {
        "method": config.method,
        "kind": "reward",
        "held_out": {
            "examples": len(examples),
            "prompts": len({example.prompt_key for example in examples}),
            "dropped": report.rows - report.examples,
            "loss": bootstrap(
                losses.double().numpy(), _weights(examples), _prompts(examples), config.seed
            ),
            **held_out_figures(compared, config.seed),
        },
        "calibration": _calibration(compared, config.seed),
        "slices": _slices(_decided(compared), config.seed),
        "scores": _spread(values.double().numpy()),
    }


def comparisons(scores: Mapping[str, Tensor], examples: Sequence[Example]) -> list[Comparison]:
    """Every pair, those that tie included, and of lists those that do not; a list's pairs share
    its weight."""
    if LIST_ROLE not in scores:
        sides = zip(scores["chosen"].tolist(), scores["rejected"].tolist(), strict=True)
        return [
            Comparison(*pair, one.target, one.weight, one, _is_longer(one, "chosen", "rejected"))
            for pair, one in zip(sides, examples, strict=True)
        ]
    ranks = list_ranks(examples, torch.device("cpu")).tolist()
    found = []
    for row, order, example in zip(scores[LIST_ROLE].tolist(), ranks, examples, strict=True):
        roles = list(example.sequences)
        pairs = [
            (i, j) if order[i] < order[j] else (j, i)
            for i, j in combinations(range(len(roles)), 2)
            if order[i] != order[j]
        ]
        for better, worse in pairs:
            longer = _is_longer(example, roles[better], roles[worse])
            weight = example.weight / len(pairs)
            found.append(Comparison(row[better], row[worse], 1.0, weight, example, longer))
    return found


def _is_longer(example: Example, better: str, worse: str) -> bool:
    sequences = example.sequences
    return len(sequences[better].completion) > len(sequences[worse].completion)


def _columns(compared: Sequence[Comparison]) -> tuple[Floats, Floats, Floats, list[str]]:
    return (
        np.array([one.difference for one in compared], dtype=float),
        np.array([one.target for one in compared], dtype=float),
        np.array([one.weight for one in compared], dtype=float),
        [one.example.prompt_key for one in compared],
    )


def held_out_figures(compared: Sequence[Comparison], seed: int) -> dict[str, Any]:
    """Agreement with the judges where they decided; of soft labels also `expected_agreement`, the
    share of judges who would agree with the scores, at best the mean label."""
    decided = _decided(compared)
    differences, targets, weights, clusters = _columns(decided)
    figures = _agreement(decided, seed)
    if (targets < 1.0).any():
        right = confidences(differences, targets)[1]
        figures["expected_agreement"] = bootstrap(right, weights, clusters, seed)
    return figures


def _decided(compared: Sequence[Comparison]) -> list[Comparison]:
    return [one for one in compared if one.target != 0.5]


def _agreement(decided: Sequence[Comparison], seed: int) -> dict[str, Any]:
    """How often the likelier side scores higher, equal scores counting half, by how much, and
    what each side scores in the mean."""
    differences, _, weights, clusters = _columns(decided)
    values = {
        "reward_margin": differences,
        "chosen_score": np.array([one.chosen for one in decided], dtype=float),
        "rejected_score": np.array([one.rejected for one in decided], dtype=float),
    }
    found = {name: bootstrap(one, weights, clusters, seed) for name, one in values.items()}
    accuracy = bootstrap_share(0.5 + 0.5 * np.sign(differences), weights, clusters, seed)
    return {"pairs": len(decided), "accuracy": accuracy, **found}


def _calibration(compared: Sequence[Comparison], seed: int) -> dict[str, Any]:
    differences, targets, weights, clusters = _columns(compared)
    if not len(differences):
        return {}
    confidence, right = confidences(differences, targets)
    asked = (confidence, right, weights, clusters, seed)
    return {
        "ece": calibration_error(*asked),
        "bins": [asdict(one) for one in reliability(*asked)],
        "brier": bootstrap((confidence - right) ** 2, weights, clusters, seed),
    }


def _slices(compared: Sequence[Comparison], seed: int) -> list[dict[str, Any]]:
    """Accuracy, margin and scores by what a pair is: length, source and tags, where the rows have
    them."""
    return [
        {"by": by, "name": name, **_agreement(members, seed)}
        for by, name_of in _dividers(compared)
        for name, members in _groups(compared, by, name_of)
    ]


def _groups(
    compared: Sequence[Comparison], by: str, name_of: Callable[[Comparison], list[str]]
) -> list[tuple[str, list[Comparison]]]:
    """By name, but the quarters of lengths from the shortest; not what says nothing: few pairs,
    or all of them."""
    groups: dict[str, list[Comparison]] = {}
    for one in compared:
        for name in name_of(one):
            groups.setdefault(name, []).append(one)
    telling = [name for name in groups if FEWEST <= len(groups[name]) < len(compared)]
    often = sorted(telling, key=lambda name: (-len(groups[name]), name))[:MOST_TAGS]
    order = QUARTERS if by == LENGTH else sorted(often)
    return [(name, groups[name]) for name in order if name in often]


Divider = tuple[str, Callable[[Comparison], list[str]]]


def _dividers(compared: Sequence[Comparison]) -> list[Divider]:
    lengths = [len(one.example) for one in compared]
    edges = np.quantile(lengths, (0.25, 0.5, 0.75)) if lengths else np.zeros(3)

    def fact(one: Comparison, key: str) -> list[str]:
        value = one.example.facts.get(key)
        return [str(item) for item in (value if isinstance(value, list) else [value]) if item]

    return [
        (LENGTH, lambda one: [QUARTERS[int(np.searchsorted(edges, len(one.example)))]]),
        ("preferred answer", lambda one: ["longer" if one.longer else "not longer"]),
        ("source", lambda one: fact(one, "source")),
        ("tag", lambda one: fact(one, "tags")),
    ]


def _spread(values: Floats) -> dict[str, Any]:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return {"mean": float(values.mean()), "p5": float(low), "p50": float(middle),
            "p95": float(high)}  # fmt: skip


def _weights(examples: Sequence[Example]) -> Floats:
    return np.array([example.weight for example in examples], dtype=float)


def _prompts(examples: Sequence[Example]) -> list[str]:
    return [example.prompt_key for example in examples]
