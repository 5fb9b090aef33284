"""Pairs and a reference: other convex functions of DPO's margin."""

from dataclasses import dataclass

from training.alignment.methods.dpo import FAMILY, beta_option
from training.alignment.methods.method import Method
from training.alignment.options import Options, option


@dataclass(frozen=True)
class IPOHyperparameters(Options):
    tau: float = option(
        0.1,
        help="The margin aimed at is 1 ÷ (2 τ): larger stays closer to the reference.",
        min=1e-6,
        max=1000.0,
    )
    normalisation: str = option(
        "summed",
        help="summed takes log-ratios of whole answers, as the paper's equation; averaged divides "
        "each by the answer's tokens, as TRL does. They need different τ.",
        choices=("summed", "averaged"),
    )


@dataclass(frozen=True)
class GPOHyperparameters(Options):
    beta: float = beta_option(0.1)
    convex_function: str = option(
        "logistic",
        help="The function of the scaled margin: logistic is DPO, squared is IPO, hinge is "
        "SLiC's form.",
        choices=(
            "logistic",
            "hinge",
            "squared",
            "exponential",
            "truncated_squared",
            "savage",
        ),
    )


@dataclass(frozen=True)
class RSOHyperparameters(Options):
    gamma: float = option(
        0.05,
        help="Scale of the margin: a pair counts until its margin reaches 1 ÷ γ.",
        min=1e-6,
        max=100.0,
    )


METHODS = (
    Method(
        name="ipo",
        title="Identity preference optimisation",
        paper="Azar et al. 2023, A General Theoretical Paradigm to Understand Learning from Human "
        "Preferences",
        url="https://arxiv.org/abs/2310.12036",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="Moves the margin towards a finite target instead of growing it for ever.",
        soft_labels=True,
        hyperparameters=IPOHyperparameters,
        loss="training.alignment.losses:ipo_loss",
        formula=r"L = \left( m - \frac{1}{2 \tau} \right)^2",
        when="Judges nearly always agree, where DPO ignores its β and over-fits.",
        pitfalls=(
            "A τ tuned for summed log-ratios is wrong for averaged ones by about the answers' "
            "length.",
            "The loss starts at 1 ÷ (4 τ²), 25 for τ = 0.1; only its change tells something.",
            "Summed log-ratios of long answers make large gradients: keep gradient clipping on.",
        ),
        conventions=(
            "The paper's equation 17, read literally, sums over the answer (summed, the default); "
            "so do the DPO authors' code and OpenRLHF. TRL, HALOs and LLaMA-Factory average over "
            "tokens (averaged), which TRL says the authors confirmed.",
            "Soft labels enter as the expected loss, p (m − t)² + (1 − p) (m + t)².",
        ),
        evidence="Averaged agrees with TRL 1.16, summed with the DPO authors' code and OpenRLHF, "
        "all as executed.",
    ),
    Method(
        name="gpo",
        title="Generalised preference optimisation",
        paper="Tang et al. 2024, Generalized Preference Optimization: A Unified Approach to "
        "Offline Alignment",
        url="https://arxiv.org/abs/2402.05749",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="One method, six convex functions of the margin: DPO, IPO and SLiC are among them.",
        soft_labels=True,
        hyperparameters=GPOHyperparameters,
        loss="training.alignment.losses:gpo_loss",
        formula=r"L = f(\beta m)",
        when="You compare functions on the same data; their best β differ.",
        pitfalls=(
            "Exponential is dominated by the worst pairs, Savage nearly ignores them.",
            "Hinge and truncated squared stop learning from a pair at margin 1 ÷ β.",
        ),
        conventions=(
            "Squared is IPO with τ = β ÷ 2, times β².",
            "Exponential goes on as its tangent beyond βm = −40, so that it stays finite.",
        ),
        evidence="The family and its names (logistic, hinge, squared, exponential, truncated "
        "quadratic, Savage) agree with an independent implementation's table; logistic, hinge and "
        "squared equal DPO, RSO and IPO, which are checked against other code. Of the other three "
        "there are worked values of our own alone.",
    ),
    Method(
        name="rso",
        title="RSO's hinge loss",
        paper="Liu et al. 2023, Statistical Rejection Sampling Improves Preference Optimization",
        url="https://arxiv.org/abs/2309.06657",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="A hinge of the margin relative to the reference: pairs that are far enough apart "
        "teach nothing more.",
        soft_labels=True,
        hyperparameters=RSOHyperparameters,
        loss="training.alignment.losses:rso_loss",
        formula=r"L = \max(0, 1 - \gamma m)",
        when="You want a bounded margin without a target for each pair.",
        pitfalls=(
            "This is the loss alone: the paper's pairs come from rejection sampling with a reward "
            "model.",
        ),
        conventions=(
            "TRL's hinge with a reference is this loss, and not SLiC's, which has no reference.",
        ),
        defaults={"learning_rate": 1e-6},
        evidence="The paper's equation 10 and γ = 0.05 were read for this entry; agrees with TRL "
        "1.16's hinge loss as executed.",
    ),
)
