"""A method made ready to train: which sequences it scores, and how its loss is called."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from training.alignment.batches import LIST_ROLE, list_ranks, padded_lists, sequences_of
from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, parse_hyperparameters
from training.alignment.tokenization import Example

# role -> [b], and of the role list [b, k]: log-probabilities, or a reward model's scores
LogProbs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Statistic:
    """What a method wants to know of a whole step before its losses.

    Attributes:
        values: what the loss may name.
        keep: [n] 1 for the examples that take part in the step, 0 for the others; None keeps all.
        state: what is carried to the next step.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    keep: Tensor | None = None
    state: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """A method with its hyper-parameters; calls the loss by the names of its arguments."""

    method: Method
    hyperparameters: Mapping[str, Any]
    soft_labels: bool

    @classmethod
    def from_config(cls, config: TrainingConfig) -> "Objective":
        """What the configuration asks for; soft labels also where the loss is of nothing else."""
        method = get_method(config.method)
        values = asdict(parse_hyperparameters(method, config.hyperparameters))
        targets = _parameters(method.load_loss()).get("target_probabilities")
        needed = targets is not None and targets.default is inspect.Parameter.empty
        return cls(method, values, config.soft_labels or needed)

    def without_penalty(self) -> "Objective":
        """The same loss without DPOP's penalty on answers that fell; itself where it has none."""
        if "penalty_weight" not in self.hyperparameters:
            return self
        return replace(self, hyperparameters={**self.hyperparameters, "penalty_weight": 0.0})

    @property
    def trains_rewards(self) -> bool:
        """Whether a reward model is trained: scores take the place of log-probabilities."""
        return self.method.trains == "reward"

    @property
    def loss_roles(self) -> tuple[str, ...]:
        """Sequences scored with gradient, for example chosen and rejected."""
        return self._roles(self.method.load_loss())

    @property
    def statistic_roles(self) -> tuple[str, ...]:
        """Sequences scored without gradient over the whole step before the loss."""
        statistic = self.method.load_step_statistic()
        return () if statistic is None else self._roles(statistic)

    @property
    def roles(self) -> tuple[str, ...]:
        """Every sequence of an example that is ever scored, each once."""
        return tuple(dict.fromkeys((*self.loss_roles, *self.statistic_roles)))

    def statistic(
        self,
        policy: LogProbs,
        reference: LogProbs,
        examples: Sequence[Example],
        state: Mapping[str, float] | None = None,
    ) -> Statistic:
        """What the method wants to know of a whole step's batch, or nothing."""
        function = self.method.load_step_statistic()
        if function is None:
            return Statistic(self._step_tokens(examples))
        available = self._scored(policy, reference) | dict(self.hyperparameters)
        found = dict(function(**_chosen(function, available | {"state": dict(state or {})})))
        kept, carried = found.pop("keep", None), found.pop("state", {})
        return Statistic(found, kept, carried)

    def loss(
        self,
        policy: LogProbs,
        reference: LogProbs,
        examples: Sequence[Example],
        statistic: Statistic,
    ) -> Any:
        """Call the loss with what its signature names."""
        first = next(iter(policy.values()))
        available = self._scored(policy, reference) | dict(statistic.values)
        available |= {**self.hyperparameters, **_lengths(examples, policy)}
        targets = torch.tensor([example.target for example in examples]).to(first)
        available["labels"] = targets
        if self.soft_labels:
            available["target_probabilities"] = targets
        available["margins"] = torch.tensor([example.margin for example in examples]).to(first)
        if LIST_ROLE in policy:
            available["list_ranks"] = list_ranks(examples, first.device)
        function = self.method.load_loss()
        return function(**_chosen(function, available))

    def loss_weight(self, example: Example) -> float:
        """The example's share in the step's weighted mean, before anything is normalised.

        With the reduction "token" it grows with the tokens that the loss is a mean over, so that
        the step has one denominator over all its tokens.
        """
        if self.method.reduction == "example":
            return example.weight
        sequences = [item for role in self.loss_roles for item in sequences_of(example, role)]
        return example.weight * sum(item.trained_tokens for item in sequences)

    def _step_tokens(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Mean tokens of the step's likelihoods, by the examples' weights, where a setting asks.

        Dividing each example's sum by it makes of the step's weighted mean one over all tokens.
        """
        if "batch_token_mean" not in self.hyperparameters.values():
            return {}
        weights = torch.tensor([self.loss_weight(example) for example in examples])
        tokens = torch.tensor([_likelihood_tokens(one, self.soft_labels) for one in examples])
        return {"step_tokens": (weights * tokens).sum() / weights.sum()}

    def _roles(self, function: Any) -> tuple[str, ...]:
        pattern = r"(\w+)_scores" if self.trains_rewards else r"policy_(\w+)_logps"
        parameters = _parameters(function)
        found = [match for name in parameters if (match := re.fullmatch(pattern, name))]
        # What a loss can do without is scored where a hyper-parameter names it.
        needed = [
            parameters[match[0]].default is inspect.Parameter.empty
            or match[1] in self.hyperparameters.values()
            for match in found
        ]
        return tuple(match[1] for match, is_needed in zip(found, needed, strict=True) if is_needed)

    def _scored(self, policy: LogProbs, reference: LogProbs) -> dict[str, Any]:
        if self.trains_rewards:
            return {f"{role}_scores": values for role, values in policy.items()}
        return {f"policy_{role}_logps": values for role, values in policy.items()} | {
            f"reference_{role}_logps": values for role, values in reference.items()
        }


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _chosen(function: Any, available: Mapping[str, Any]) -> dict[str, Any]:
    names = _parameters(function)
    return {name: value for name, value in available.items() if name in names}


def _likelihood_tokens(example: Example, soft_labels: bool) -> float:
    """Tokens of the better answer, expected over the label, and of a prompt that is learned."""
    counts = {role: one.trained_tokens for role, one in example.sequences.items()}
    better = example.target if soft_labels else 1.0
    prompt = counts["text"] - counts["chosen"] if "text" in counts else 0
    return prompt + better * counts["chosen"] + (1.0 - better) * counts["rejected"]


def _lengths(examples: Sequence[Example], policy: LogProbs) -> dict[str, Tensor]:
    """Trained tokens of each completion, as `<role>_lengths`."""
    first = next(iter(policy.values()))
    if LIST_ROLE in policy:
        counts = [[item.trained_tokens for item in row.sequences.values()] for row in examples]
        flat = torch.tensor([count for row in counts for count in row]).to(first)
        return {f"{LIST_ROLE}_lengths": padded_lists(flat, [len(row) for row in counts])}
    return {
        f"{role}_lengths": torch.tensor(
            [example.sequences[role].trained_tokens for example in examples]
        ).to(first)
        for role in examples[0].sequences
    }
