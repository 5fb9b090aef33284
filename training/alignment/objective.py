"""A method made ready to train: which sequences it scores, and how its loss is called."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from training.alignment.config import TrainingConfig
from training.alignment.methods import Method, get_method, parse_hyperparameters
from training.alignment.options import OptionError
from training.alignment.tokenization import Example

LogProbs = Mapping[str, Tensor]  # role -> [b]


@dataclass(frozen=True)
class Objective:
    """A method with its hyper-parameters; calls the loss by the names of its arguments."""

    method: Method
    hyperparameters: Mapping[str, Any]
    soft_labels: bool

    @classmethod
    def from_config(cls, config: TrainingConfig) -> "Objective":
        """Raises OptionError when soft labels are asked of a loss that takes none."""
        method = get_method(config.method)
        values = asdict(parse_hyperparameters(method, config.hyperparameters))
        objective = cls(method, values, config.soft_labels)
        if config.soft_labels and "target_probabilities" not in _arguments(method.load_loss()):
            raise OptionError("soft_labels", f"{method.title} takes no soft labels")
        return objective

    @property
    def loss_roles(self) -> tuple[str, ...]:
        """Sequences scored with gradient, for example chosen and rejected."""
        return _roles(self.method.load_loss())

    @property
    def statistic_roles(self) -> tuple[str, ...]:
        """Sequences scored without gradient over the whole step before the loss."""
        statistic = self.method.load_step_statistic()
        return () if statistic is None else _roles(statistic)

    @property
    def roles(self) -> tuple[str, ...]:
        """Every sequence of an example that is ever scored."""
        return (*self.loss_roles, *self.statistic_roles)

    def statistic(self, policy: LogProbs, reference: LogProbs) -> dict[str, Tensor]:
        """The method's statistic of a whole step's batch, or nothing."""
        function = self.method.load_step_statistic()
        if function is None:
            return {}
        arguments = _chosen(function, _log_prob_arguments(policy, reference))
        result: dict[str, Tensor] = function(**arguments)
        return result

    def loss(
        self,
        policy: LogProbs,
        reference: LogProbs,
        examples: Sequence[Example],
        statistic: Mapping[str, Tensor],
    ) -> Any:
        """Call the loss with what its signature names."""
        first = next(iter(policy.values()))
        available = _log_prob_arguments(policy, reference) | dict(statistic)
        available |= {**self.hyperparameters, **_lengths(examples, first)}
        targets = torch.tensor([example.target for example in examples]).to(first)
        available["labels"] = targets
        if self.soft_labels:
            available["target_probabilities"] = targets
        function = self.method.load_loss()
        return function(**_chosen(function, available))


def _arguments(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def _roles(function: Any) -> tuple[str, ...]:
    names = inspect.signature(function).parameters
    found = (re.fullmatch(r"policy_(\w+)_logps", name) for name in names)
    return tuple(match.group(1) for match in found if match)


def _chosen(function: Any, available: Mapping[str, Any]) -> dict[str, Any]:
    names = _arguments(function)
    return {name: value for name, value in available.items() if name in names}


def _log_prob_arguments(policy: LogProbs, reference: LogProbs) -> dict[str, Any]:
    return {f"policy_{role}_logps": values for role, values in policy.items()} | {
        f"reference_{role}_logps": values for role, values in reference.items()
    }


def _lengths(examples: Sequence[Example], like: Tensor) -> dict[str, Tensor]:
    roles = examples[0].sequences
    return {
        f"{role}_lengths": torch.tensor(
            [example.sequences[role].trained_tokens for example in examples]
        ).to(like)
        for role in roles
    }
