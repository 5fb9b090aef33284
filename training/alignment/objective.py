"""A method made ready to train: which sequences it scores, and how its loss is called."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.alignment.batches import collate
from training.alignment.config import TrainingConfig
from training.alignment.log_probs import sequence_log_probs
from training.alignment.methods import Method, get_method, parse_hyperparameters
from training.alignment.options import OptionError
from training.alignment.tokenization import Example, TokenSequence

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


def score(
    scorer: nn.Module, examples: Sequence[Example], roles: Sequence[str], device: torch.device
) -> dict[str, Tensor]:
    """Log-probabilities of every role's completions in one forward pass: role -> [b]."""
    return split_roles(score_sequences(scorer, by_role(examples, roles), device), roles)


def score_sequences(
    scorer: nn.Module, sequences: Sequence[TokenSequence], device: torch.device
) -> Tensor:
    """Log-probabilities of the completions of any sequences: [b], float32."""
    batch = collate(sequences, device)
    return sequence_log_probs(scorer(*batch), batch.completion_mask)


@torch.no_grad()
def score_all(
    scorer: nn.Module,
    sequences: Sequence[TokenSequence],
    device: torch.device,
    *,
    batch_size: int,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Score many sequences without gradient in batches of similar length: [n] float32.

    With a share (i, n) only every n-th batch is scored and the others stay zero, so that the sum
    over n processes is the whole.
    """
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    values = torch.zeros(len(sequences), device=device)
    for number, start in enumerate(range(0, len(order), batch_size)):
        if number % share[1] == share[0]:
            indices = order[start : start + batch_size]
            chosen = [sequences[index] for index in indices]
            values[indices] = score_sequences(scorer, chosen, device)
        if progress is not None:
            progress(min(start + batch_size, len(order)), len(order))
    return values


def by_role(examples: Sequence[Example], roles: Sequence[str]) -> list[TokenSequence]:
    """All sequences, role after role."""
    return [example.sequences[role] for role in roles for example in examples]


def split_roles(values: Tensor, roles: Sequence[str]) -> dict[str, Tensor]:
    """Undo `by_role`: [roles * n] to role -> [n]."""
    return dict(zip(roles, values.reshape(len(roles), -1), strict=True))


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
            [len(example.sequences[role].completion) for example in examples]
        ).to(like)
        for role in roles
    }
