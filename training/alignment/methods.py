"""The registry of training methods. Adding one is a loss function and an entry here.

This module imports without torch: a loss is named by a dotted path and resolved when training
starts, so the web process can read the registry, draw the launch form and validate a run.

How the loop calls a loss: by the names of its arguments. `policy_<role>_logps`,
`reference_<role>_logps` and `<role>_lengths` (role: chosen, rejected, completion, mismatched),
`target_probabilities` (pairs), `labels` (binary), whatever the method's `step_statistic` returns,
and the hyper-parameters. A loss that names no reference argument needs no reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from training.alignment.options import OptionError, option, parse_options

DataKind = Literal["pairs", "binary", "lists", "demonstrations", "prompts"]


@dataclass(frozen=True)
class Method:
    """One way to train: its paper, the data it needs, its hyper-parameters and its loss."""

    name: str
    title: str
    paper: str
    url: str
    data: DataKind
    needs_reference: bool
    summary: str
    hyperparameters: type
    loss: str
    step_statistic: str | None = None

    def load_loss(self) -> Callable[..., Any]:
        """Resolve the loss function. Imports torch."""
        return _resolve(self.loss)

    def load_step_statistic(self) -> Callable[..., Any] | None:
        """Resolve the function of a whole optimiser step's batch, if the method has one."""
        return None if self.step_statistic is None else _resolve(self.step_statistic)


@dataclass(frozen=True)
class DPOHyperparameters:
    beta: float = option(
        0.1,
        help="How strongly the policy is held to the reference: larger stays closer. "
        "The paper uses 0.1 for dialogue and 0.5 for summaries.",
        min=1e-6,
        max=100.0,
    )


@dataclass(frozen=True)
class KTOHyperparameters:
    beta: float = option(
        0.1,
        help="How quickly an answer's gain or loss saturates: larger stays closer to the "
        "reference.",
        min=1e-6,
        max=100.0,
    )
    desirable_weight: float = option(
        1.0,
        help="Weight of answers marked good (the paper's lambda_D). Keep desirable_weight × good "
        "÷ (undesirable_weight × bad) between 1 and 4/3.",
        min=0.0,
        max=1000.0,
    )
    undesirable_weight: float = option(
        1.0,
        help="Weight of answers marked bad (the paper's lambda_U).",
        min=0.0,
        max=1000.0,
    )


_METHODS = (
    Method(
        name="dpo",
        title="Direct preference optimisation",
        paper="Rafailov et al. 2023, Direct Preference Optimization: Your Language Model is "
        "Secretly a Reward Model",
        url="https://arxiv.org/abs/2305.18290",
        data="pairs",
        needs_reference=True,
        summary="Raises the chosen answer over the rejected one, relative to the reference model. "
        "The log-probability of both may fall; what counts is the margin.",
        hyperparameters=DPOHyperparameters,
        loss="training.alignment.losses:dpo_loss",
    ),
    Method(
        name="kto",
        title="Kahneman-Tversky optimisation",
        paper="Ethayarajh et al. 2024, KTO: Model Alignment as Prospect Theoretic Optimization",
        url="https://arxiv.org/abs/2402.01306",
        data="binary",
        needs_reference=True,
        summary="Learns from single answers marked good or bad, without pairs. Needs at least "
        "two different prompts and a batch of four or more.",
        hyperparameters=KTOHyperparameters,
        loss="training.alignment.losses:kto_loss",
        step_statistic="training.alignment.losses:kto_reference_point",
    ),
)


def methods() -> tuple[Method, ...]:
    """Every registered method, in the order in which a form offers them."""
    return _METHODS


def get_method(name: str) -> Method:
    """The method called `name`; raises OptionError naming the known ones."""
    for method in _METHODS:
        if method.name == name:
            return method
    known = ", ".join(method.name for method in _METHODS)
    raise OptionError("method", f"{name!r} is not a training method; the known ones are {known}")


def parse_hyperparameters(method: Method, values: Mapping[str, Any]) -> Any:
    """The method's hyper-parameters as its frozen dataclass; raises OptionError naming the key."""
    return parse_options(method.hyperparameters, values)


def _resolve(dotted: str) -> Callable[..., Any]:
    module, _, name = dotted.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
