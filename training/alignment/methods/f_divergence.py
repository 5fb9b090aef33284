"""Pairs and a reference: DPO under other divergences."""

from dataclasses import dataclass

from training.alignment.methods.dpo import FAMILY, beta_option
from training.alignment.methods.method import Method
from training.alignment.options import Options, option


@dataclass(frozen=True)
class FDPOHyperparameters(Options):
    beta: float = beta_option(0.1)
    divergence: str = option(
        "jensen_shannon",
        help="What holds the policy to the reference. reverse_kl is DPO; forward_kl covers all "
        "that the reference does; jensen_shannon and alpha lie between.",
        choices=("reverse_kl", "forward_kl", "jensen_shannon", "alpha"),
    )
    alpha: float = option(
        0.5,
        help="Of the alpha divergence: near 0 like reverse, near 1 like forward KL. TRL's "
        "coefficient is 1 − α.",
        min=0.01,
        max=0.99,
        used_when=lambda options: options.divergence == "alpha",
    )


METHODS = (
    Method(
        name="f_dpo",
        title="DPO under an f-divergence",
        paper="Wang et al. 2023, Beyond Reverse KL: Generalizing Direct Preference Optimization "
        "with Diverse Divergence Constraints",
        url="https://arxiv.org/abs/2309.16240",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="DPO with another measure of the distance to the reference, which trades reward "
        "against diversity.",
        soft_labels=True,
        hyperparameters=FDPOHyperparameters,
        loss="training.alignment.losses:f_dpo_loss",
        formula=r"L = -\log \sigma(\beta f'(e^{\Delta_w}) - \beta f'(e^{\Delta_l}))",
        when="The trained model says too much the same thing: forward KL, α and Jensen–Shannon "
        "keep more diversity than reverse KL.",
        pitfalls=(
            "Forward KL takes exp(−Δ): answers that became much less likely dominate. Prefer "
            "Jensen–Shannon or α on long answers.",
            "Rewards of different divergences are on different scales.",
        ),
        conventions=(
            "f' is Δ for reverse KL, −exp(−Δ) for forward KL, log 2 − log(1 + exp(−Δ)) for "
            "Jensen–Shannon and (1 − exp(−αΔ)) ÷ α for α; constants that cancel are left out.",
            "α is the paper's and the authors' code's; TRL's f_alpha_divergence_coef is 1 − α, and "
            "both agree only at 0.5.",
            "Exponents are cut at 80, as TRL does in float32.",
        ),
        evidence="Forward KL, Jensen–Shannon and α agree with TRL 1.16 and the authors' code as "
        "executed; reverse KL is DPO.",
    ),
)
