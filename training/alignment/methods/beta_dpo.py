"""Pairs and a reference: DPO with a beta that follows the data."""

from dataclasses import dataclass

from training.alignment.methods.dpo import FAMILY, beta_option
from training.alignment.methods.method import Method
from training.alignment.options import Options, option


@dataclass(frozen=True)
class BetaDPOHyperparameters(Options):
    beta: float = beta_option(0.1, "The paper's β0, around which each step's β moves.")
    alpha: float = option(
        0.6, help="How strongly a step's gaps move its β; 0 is DPO's fixed β.", min=0.0, max=100.0
    )
    momentum: float = option(
        0.9, help="Of the running mean and deviation of the gaps.", min=0.0, max=0.9999
    )
    keep_ratio: float = option(
        0.8,
        help="Share of each step's pairs that is kept (the paper's ρ); pairs with unusual gaps "
        "are left out first. 1 keeps all.",
        min=0.01,
        max=1.0,
    )
    convention: str = option(
        "paper",
        help="paper scales a gap by β0 and starts from the first step; code is what the authors' "
        "program does: no β0, running values from 0, so α acts about ten times as strongly.",
        choices=("paper", "code"),
    )


METHODS = (
    Method(
        name="beta_dpo",
        title="DPO with dynamic β",
        paper="Wu et al. 2024, β-DPO: Direct Preference Optimization with Dynamic β",
        url="https://arxiv.org/abs/2407.08639",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="Lets β grow with the gaps of each step's pairs and leaves out the pairs whose "
        "gaps are unusual.",
        hyperparameters=BetaDPOHyperparameters,
        loss="training.alignment.losses:beta_dpo_loss",
        step_statistic="training.alignment.losses:beta_dpo_statistic",
        formula=r"L = -\log \sigma(\beta_{t} m), \quad "
        r"\beta_{t} = \beta_0 (1 + \alpha (\bar{M} - M_0)), \quad M_i = \beta_0 m_i",
        when="Your data mix clear and close pairs, or hold outliers.",
        pitfalls=(
            "Every pair of a step is scored once more before the step, about a third more work.",
            "Small steps make M noisy: prefer 32 pairs a step or more.",
        ),
        conventions=(
            "paper (default): M_i = β0 m_i; β uses the running mean before the step's update; the "
            "first step takes its own mean and deviation, on which the paper says nothing.",
            "code: M_i = m_i, running values start at 0 and are updated before use.",
            "Both: β is computed from the kept pairs and is at least 0.001, as in the authors' "
            "code. M0 and the deviation are kept in checkpoints.",
            "No soft labels: the gap of a tie has no sign, and taken as 0 it would soon be far "
            "from M0, so that the filter would leave out the ties.",
            "Pairs are drawn by Gumbel noise, seeded by the step's number: equal in all processes "
            "and after a resume; the authors' multinomial draw may underflow.",
        ),
        evidence="code agrees with the authors' loss as executed (their commit 1629047). The "
        "paper's formulas are confirmed by an independent text that quotes them; whether M0 is "
        "updated before or after it is used is not settled by that text. A third party's trainer, "
        "which states the paper's rule, has the gaps and the first step of paper and a momentum of "
        "0.9, and updates M0 after its use. ρ = 0.8 is what the filtering ratio of 0.2 in the "
        "authors' README leaves, beside its α = 0.6 and β0 = 0.1. The paper's own wording was not "
        "read.",
    ),
)
