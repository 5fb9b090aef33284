"""Pairs without a reference model."""

from dataclasses import dataclass

from training.alignment.methods.dpo import EXPECTED
from training.alignment.methods.method import Method
from training.alignment.options import Options, option

FAMILY = "Pairs, without a reference"


@dataclass(frozen=True)
class SLiCHyperparameters(Options):
    delta: float = option(
        1.0, help="The margin asked for, in nats of the whole answer.", min=0.0, max=1e6
    )
    regularisation_weight: float = option(
        0.5,
        help="The paper's lambda: weight of the chosen answer's negative log-likelihood.",
        min=0.0,
        max=1000.0,
    )


@dataclass(frozen=True)
class ORPOHyperparameters(Options):
    odds_ratio_weight: float = option(
        0.1,
        help="The paper's lambda: weight of the odds-ratio term beside the likelihood.",
        min=0.0,
        max=1000.0,
    )
    likelihood: str = option(
        "completion",
        help="What the likelihood is taken over: completion is the paper's chosen answer; text is "
        "prompt and chosen answer, as in the authors' code and TRL, for half as much work again.",
        choices=("completion", "text"),
    )
    nll: str = option(
        "token_mean",
        help="token_mean is the paper's: each answer's own mean counts alike; batch_token_mean is "
        "one mean over the tokens of a step, as in TRL, so that long answers weigh more.",
        choices=("token_mean", "batch_token_mean"),
    )


@dataclass(frozen=True)
class SimPOHyperparameters(Options):
    beta: float = option(
        2.0,
        help="Scale of the reward, which is a mean log-probability a token: 2 to 2.5 in the "
        "paper's first version, 10 in later models.",
        min=1e-6,
        max=1000.0,
    )
    gamma_beta_ratio: float = option(
        0.5,
        help="The target margin over β; 0.1 to 0.8 are usual. TRL's simpo_gamma is this times β.",
        min=0.0,
        max=100.0,
    )


@dataclass(frozen=True)
class CPOHyperparameters(Options):
    beta: float = option(
        0.1, help="Scale of the difference of log-probabilities.", min=1e-6, max=100.0
    )
    nll_weight: float = option(
        1.0, help="Weight of the chosen answer's negative log-likelihood.", min=0.0, max=1000.0
    )
    nll: str = option(
        "summed",
        help="summed is the paper's log-likelihood of the answer; token_mean divides it by the "
        "answer's tokens; batch_token_mean is one mean over the tokens of a step, as in TRL.",
        choices=("summed", "token_mean", "batch_token_mean"),
        used_when=lambda options: options.nll_weight > 0,
    )


METHODS = (
    Method(
        name="slic_hf",
        title="SLiC-HF",
        paper="Zhao et al. 2023, SLiC-HF: Sequence Likelihood Calibration with Human Feedback",
        url="https://arxiv.org/abs/2305.10425",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=False,
        summary="A hinge between the log-probabilities of both answers, with the likelihood of the "
        "chosen one as the anchor.",
        soft_labels=True,
        hyperparameters=SLiCHyperparameters,
        loss="training.alignment.losses:slic_hf_loss",
        formula=r"L = \max(0, \delta - \ell_w + \ell_l) - \lambda \ell_w",
        when="You have no memory for a reference model and your answers are of similar length.",
        pitfalls=(
            "Sums over answers favour short ones: a longer answer has a lower log-probability.",
            "The regulariser is a sum over tokens as well, so its weight depends on the length.",
            "A hinge learns which answer is likelier to be better, not by how much: soft labels "
            "weigh pairs, and of 0.7 and 0.9 both end at the margin δ.",
        ),
        conventions=(
            "The chosen answer stands for the paper's SFT target, which is a reference answer or "
            "the best-ranked candidate (section 2.4).",
            f"{EXPECTED} So is the anchor, of both answers; the paper has hard labels only.",
            "HALOs broadcasts its regulariser over padded positions, and TRL's hinge is RSO's "
            "loss: neither is the paper's.",
        ),
        evidence="The loss was read as equation 1 of the RSO paper (arXiv 2309.06657), which "
        "quotes it and reports no clear gain from the regulariser, and in a secondary text as the "
        "paper's equation 4; worked values by hand. That text gives δ = 1 (section 3.2) and both "
        "targets (section 2.4), but no λ: the default of 0.5 is unchecked.",
    ),
    Method(
        name="orpo",
        title="Odds ratio preference optimisation",
        paper="Hong et al. 2024, ORPO: Monolithic Preference Optimization without Reference Model",
        url="https://arxiv.org/abs/2403.07691",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=False,
        summary="Supervised fine-tuning on the chosen answer with a push against the rejected one, "
        "in one stage.",
        soft_labels=True,
        hyperparameters=ORPOHyperparameters,
        loss="training.alignment.losses:orpo_loss",
        defaults={"learning_rate": 8e-6},
        formula=r"L = -\bar{\ell}_w - \lambda \log \sigma \left( "
        r"\log \frac{e^{\bar{\ell}_w}}{1 - e^{\bar{\ell}_w}} "
        r"- \log \frac{e^{\bar{\ell}_l}}{1 - e^{\bar{\ell}_l}} \right)",
        when="You start from a base model and want to skip the separate supervised stage.",
        pitfalls=(
            "It is mostly imitation: if the chosen answers are poor, so is the result.",
            "It may end better after several epochs, where over-fitting must be watched.",
        ),
        conventions=(
            "likelihood: completion (default) is the mean over the chosen answer's tokens, as in "
            "the paper. text takes it over prompt and chosen answer: so do TRL 1.16, always, and "
            "the authors' code unless disable_prompt_loss is set.",
            "nll: token_mean (default) is each answer's own mean, as the paper's formula. TRL and "
            "the authors' code take one mean over all tokens of a batch, which weighs long texts "
            "more: batch_token_mean, over the whole optimiser step however it is split, which is "
            "theirs on one device without accumulation. With likelihood=text it is TRL's loss.",
            f"{EXPECTED} Both answers are then imitated, each by its probability; the paper has "
            "hard labels only.",
            "log(1 − exp x) is computed without cancellation; the naive form gives infinities at "
            "probabilities near 1.",
        ),
        evidence="Agrees with TRL 1.16 and with another implementation as executed, with the "
        "likelihood over the completion; what is over prompt and answer, and over a batch's "
        "tokens, was read in both codes.",
    ),
    Method(
        name="simpo",
        title="SimPO",
        paper="Meng, Xia and Chen 2024, SimPO: Simple Preference Optimization with a "
        "Reference-Free Reward",
        url="https://arxiv.org/abs/2405.14734",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=False,
        summary="The reward is the mean log-probability of a token, so that length does not pay; "
        "a target margin separates the answers.",
        soft_labels=True,
        hyperparameters=SimPOHyperparameters,
        loss="training.alignment.losses:simpo_loss",
        defaults={"learning_rate": 6e-7},
        formula=r"L = -\log \sigma \left( \beta \bar{\ell}_w - \beta \bar{\ell}_l - \gamma "
        r"\right), \quad \gamma = \beta \cdot \mathrm{ratio}",
        when="You want neither a reference model nor growing length.",
        pitfalls=(
            "The learning rate decides: above 1e-6 models begin to loop and collapse.",
            "Nothing holds the policy to its start: watch KL and samples.",
            "A second begin-of-text token changes scores between training and evaluation.",
        ),
        conventions=(
            "gamma_beta_ratio is the authors' parameter. TRL's and LLaMA-Factory's simpo_gamma is "
            "γ itself, and TRL adds an NLL term unless cpo_alpha is 0.",
            f"{EXPECTED} The target margin is asked of whichever answer is the better one, so a "
            "tie ends at equal rewards. TRL's label_smoothing turns the margin's sign as well: a "
            "tie would end γ apart.",
        ),
        evidence="Agrees with TRL 1.16 and three other implementations as executed.",
    ),
    Method(
        name="cpo",
        title="Contrastive preference optimisation",
        paper="Xu et al. 2024, Contrastive Preference Optimization: Pushing the Boundaries of LLM "
        "Performance in Machine Translation",
        url="https://arxiv.org/abs/2401.08417",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=False,
        summary="DPO with a uniform reference, anchored by the likelihood of the chosen answer.",
        soft_labels=True,
        hyperparameters=CPOHyperparameters,
        loss="training.alignment.losses:cpo_loss",
        formula=r"L = -\log \sigma(\beta (\ell_w - \ell_l)) - \lambda \ell_w",
        when="Both answers are good, as in translation, and the chosen one is worth imitating.",
        pitfalls=(
            "With summed log-likelihoods the anchor outweighs the preference term on long answers; "
            "token_mean, batch_token_mean or a smaller nll_weight brings it back.",
        ),
        conventions=(
            "summed (default) is the paper's −log π(y_w). token_mean divides by the answer's "
            "tokens. TRL and ALMA take one mean over all tokens of a batch, which weighs long "
            "answers more: batch_token_mean, over the whole optimiser step however it is split, "
            "which is theirs on one device without accumulation.",
            f"{EXPECTED} So is the anchor, of both answers; TRL's label_smoothing leaves it on the "
            "chosen one.",
            "ALMA's main branch multiplies the rejected side by a relaxation factor: that is "
            "X-ALMA's variant and not CPO.",
        ),
        evidence="The token-mean form agrees with another implementation as executed; the summed "
        "form is the paper's formula, worked by hand; a batch's mean was read in TRL's code.",
    ),
)
