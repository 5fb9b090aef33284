"""What a training method is: all that a loop, a form, a command line or a reference page asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from training.alignment.options import Options

DataKind = Literal["pairs", "binary", "lists", "demonstrations", "prompts"]
Reduction = Literal["example", "token"]


@dataclass(frozen=True)
class Method:
    """One way to train: its paper, the data it needs, its hyper-parameters and its loss.

    The loop calls a loss by the names of its arguments: `policy_<role>_logps`,
    `reference_<role>_logps` and `<role>_lengths` (role: chosen, rejected, completion, mismatched,
    list), `<role>_scores` where a reward model is trained, `list_ranks`, `margins` and
    `target_probabilities` (pairs), `labels` (binary), whatever the step statistic returns,
    `step_tokens` (the mean tokens of the step's likelihoods, under batch_token_mean), and the
    hyper-parameters. A loss that names no reference argument needs no reference.

    Attributes:
        name: what configurations say; never changes.
        data, also: the kind of data it is made for, and others that it takes.
        needs_reference, needs_value_model, needs_rewards: the other models of a run.
        least_samples: fewest answers to each prompt, for online methods that compare them.
        hyperparameters: a frozen dataclass of options.
        loss, step_statistic: `module:function`. A statistic sees the scores of a whole optimiser
            step; what it returns under `state` is kept from step to step and in checkpoints, and
            `keep` [n] takes examples out of the step.
        loop: frozen data, or answers sampled while training.
        trains: the policy, or a reward model.
        reduction: "token" weights each example's loss by its completion's length, so that a step
            has one mean over tokens.
        soft_labels: whether the loss takes each pair's own probability.
        defaults: values of TrainingConfig that suit it.
        formula: LaTeX. when, pitfalls, conventions: the reference page's words.
        evidence: how the formula was checked against its source.
    """

    name: str
    title: str
    paper: str
    url: str
    data: DataKind
    needs_reference: bool
    summary: str
    hyperparameters: type[Options]
    loss: str
    step_statistic: str | None = None
    family: str = ""
    also: tuple[DataKind, ...] = ()
    loop: Literal["offline", "online"] = "offline"
    trains: Literal["policy", "reward"] = "policy"
    reduction: Reduction = "example"
    soft_labels: bool = False
    needs_value_model: bool = False
    needs_rewards: bool = False
    least_samples: int = 1
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    formula: str = ""
    when: str = ""
    pitfalls: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    evidence: str = ""

    def load_loss(self) -> Callable[..., Any]:
        """Resolve the loss function. Imports torch."""
        return _resolve(self.loss)

    def load_step_statistic(self) -> Callable[..., Any] | None:
        """Resolve the function of a whole optimiser step's batch, if the method has one."""
        return None if self.step_statistic is None else _resolve(self.step_statistic)


def _resolve(dotted: str) -> Callable[..., Any]:
    module, _, name = dotted.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
