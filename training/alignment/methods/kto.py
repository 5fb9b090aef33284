"""Single answers marked good or bad."""

from dataclasses import dataclass

from training.alignment.methods.method import Method
from training.alignment.options import option


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


METHODS = (
    Method(
        name="kto",
        title="Kahneman-Tversky optimisation",
        paper="Ethayarajh et al. 2024, KTO: Model Alignment as Prospect Theoretic Optimization",
        url="https://arxiv.org/abs/2402.01306",
        family="binary feedback",
        data="binary",
        needs_reference=True,
        summary="Learns from single answers marked good or bad, without pairs. Needs at least "
        "two different prompts and a batch of four or more.",
        hyperparameters=KTOHyperparameters,
        loss="training.alignment.losses:kto_loss",
        step_statistic="training.alignment.losses:kto_reference_point",
    ),
)
