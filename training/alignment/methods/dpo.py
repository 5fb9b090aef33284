"""Pairs and a reference: direct preference optimisation and its kin."""

from dataclasses import dataclass

from training.alignment.methods.method import Method
from training.alignment.options import option


@dataclass(frozen=True)
class DPOHyperparameters:
    beta: float = option(
        0.1,
        help="How strongly the policy is held to the reference: larger stays closer. "
        "The paper uses 0.1 for dialogue and 0.5 for summaries.",
        min=1e-6,
        max=100.0,
    )


METHODS = (
    Method(
        name="dpo",
        title="Direct preference optimisation",
        paper="Rafailov et al. 2023, Direct Preference Optimization: Your Language Model is "
        "Secretly a Reward Model",
        url="https://arxiv.org/abs/2305.18290",
        family="pairs with a reference",
        data="pairs",
        needs_reference=True,
        summary="Raises the chosen answer over the rejected one, relative to the reference model. "
        "The log-probability of both may fall; what counts is the margin.",
        hyperparameters=DPOHyperparameters,
        loss="training.alignment.losses:dpo_loss",
    ),
)
