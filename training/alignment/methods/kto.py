"""Single answers marked good or bad."""

from dataclasses import dataclass

from training.alignment.methods.method import Method
from training.alignment.options import Options, option


@dataclass(frozen=True)
class KTOHyperparameters(Options):
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
        family="Single answers, good or bad",
        data="binary",
        needs_reference=True,
        summary="Learns from single answers marked good or bad, without pairs. Needs at least "
        "two different prompts and a batch of four or more.",
        hyperparameters=KTOHyperparameters,
        loss="training.alignment.losses:kto_loss",
        step_statistic="training.alignment.losses:kto_reference_point",
        defaults={"learning_rate": 1e-6},
        formula=r"L = \lambda_y (1 - \sigma(s \beta (\Delta - z_0))), \quad "
        r"z_0 = \max(0, \mathrm{mean} \, \Delta(y' \mid x)), \quad s = \pm 1",
        when="Your feedback is thumbs, or good and bad answers come for different prompts.",
        pitfalls=(
            "z0 is estimated from answers paired with other prompts: batches under four are noisy, "
            "and a batch of one prompt has none.",
            "With many more bad answers than good ones, set the weights: data_report.json and the "
            "log warn, with a weight that would do, where the advised range is left.",
            "An answer far from z0 hardly moves: learning rates are smaller than DPO's.",
        ),
        conventions=(
            "z0 is the clamped mean over all mismatched answers of the step, without gradient, as "
            "in the paper. HALOs leaves out exact zeros; TRL averages clamped means of processes.",
            "Which answer stands against which prompt is drawn once, from all answers to other "
            "prompts, so that its reference value is computed once and a step may be split at "
            "will; the paper, TRL and HALOs cycle the answers of a batch.",
            "Labels are hard, as in the paper: of a probability from aggregation only the likelier "
            "side counts. Weights are honoured.",
            "s is +1 for good answers, −1 for bad ones; λ the weight of that side.",
        ),
        evidence="Agrees with TRL 1.16 and with another implementation as executed.",
    ),
)
