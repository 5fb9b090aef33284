"""Pairs and a reference: direct preference optimisation and its kin."""

from dataclasses import dataclass
from typing import Any

from training.alignment.methods.method import Method
from training.alignment.options import Options, option

FAMILY = "Pairs, held to a reference"
NLL_HELP = (
    "Weight of the chosen answer's negative log-likelihood a token, which keeps it from becoming "
    "less likely; of a soft label, of both answers' by their probabilities. 0 is the paper's loss; "
    "1 is Iterative RPO's."
)
# What a soft label of probability p makes of a loss whose paper knows hard labels alone.
EXPECTED = "Soft labels give the loss in expectation over the label: p·L(w, l) + (1 − p)·L(l, w)."


def beta_option(default: float, words: str = "") -> Any:
    """How far the policy may go from the reference: every method of the family has it."""
    text = "How strongly the policy is held to the reference: larger stays closer."
    return option(default, help=f"{text} {words}".strip(), min=1e-6, max=100.0)


def epsilon_option() -> Any:
    return option(
        0.1,
        help="The share of labels assumed to be flipped. An assumption about the whole data set, "
        "not a pair's own probability.",
        min=0.0,
        max=0.49,
    )


@dataclass(frozen=True)
class DPOHyperparameters(Options):
    beta: float = beta_option(0.1, "The paper uses 0.1 for dialogue and 0.5 for summaries.")
    normalisation: str = option(
        "summed",
        help="summed takes log-ratios of whole answers, as the paper; averaged divides each by "
        "the answer's tokens, as Tülu 3 does with a beta of 5. They need different beta.",
        choices=("summed", "averaged"),
    )
    nll_weight: float = option(0.0, help=NLL_HELP, min=0.0, max=1000.0)


@dataclass(frozen=True)
class NoisyDPOHyperparameters(Options):
    beta: float = beta_option(0.1)
    epsilon: float = epsilon_option()


@dataclass(frozen=True)
class DPOPHyperparameters(Options):
    beta: float = beta_option(0.3)
    penalty_weight: float = option(
        50.0,
        help="The paper's lambda: how much a chosen answer that became less likely costs. In its "
        "ablation 5, 50 and 500 did about the same.",
        min=0.0,
        max=10000.0,
    )


@dataclass(frozen=True)
class RDPOHyperparameters(Options):
    beta: float = beta_option(0.1)
    alpha: float = option(
        0.01,
        help="Penalty of the reward for each token of length. Values from 0.005 to 1 are in use.",
        min=0.0,
        max=100.0,
    )


METHODS = (
    Method(
        name="dpo",
        title="Direct preference optimisation",
        paper="Rafailov et al. 2023, Direct Preference Optimization: Your Language Model is "
        "Secretly a Reward Model",
        url="https://arxiv.org/abs/2305.18290",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="Raises the chosen answer over the rejected one, relative to the reference model. "
        "The log-probability of both may fall; what counts is the margin.",
        soft_labels=True,
        hyperparameters=DPOHyperparameters,
        loss="training.alignment.losses:dpo_loss",
        defaults={"learning_rate": 1e-6},
        formula=r"L = -\log \sigma(\beta m) "
        r"- \lambda_{\mathrm{nll}} \frac{\log \pi_\theta(y_w \mid x)}{|y_w|}",
        when="The first method to try on pairs. With soft labels it learns each pair's "
        "probability, so that close calls and ties count as such.",
        pitfalls=(
            "The chosen answer may become less likely too, most of all when both answers differ "
            "in few tokens. If that hurts, use nll_weight, or dpop.",
            "Where all judges agree, nothing ends the growth of the margin: ipo has a target.",
            "A beta tuned for one method means nothing for another.",
        ),
        conventions=(
            "normalisation: summed (default) is the paper's. averaged is length-normalised DPO "
            "(Tülu 3, arXiv 2411.15124, section 5; TRL's sigmoid_norm): the margin is one of means "
            "a token, so that a beta for one is wrong for the other by about the answers' length.",
            "nll_weight is no part of the paper: it is the anchor of Iterative RPO (arXiv "
            "2404.19733), and 0 by default.",
            "Soft labels give the cross-entropy with each pair's own probability.",
            "The implicit reward can be read token by token (From r to Q*, arXiv 2404.12358, eq. "
            "14): `python -m training.alignment.credit --config run.json --output credit.jsonl` "
            "writes what each token of given pairs contributes.",
        ),
        evidence="Agrees with the losses of TRL 1.16 and of four other implementations, the "
        "authors' among them, as executed; averaged is TRL's loss as read, its worked value by "
        "hand, and Tülu 3's formula and beta are from a secondary text.",
    ),
    Method(
        name="cdpo",
        title="Conservative DPO",
        paper="Mitchell 2023, A note on DPO with noisy preferences and relationship to IPO",
        url="https://ericmitchell.ai/cdpo.pdf",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="DPO that assumes a share of the labels to be flipped, and so stops at a finite "
        "margin.",
        hyperparameters=NoisyDPOHyperparameters,
        loss="training.alignment.losses:cdpo_loss",
        formula=r"L = -(1 - \varepsilon) \log \sigma(\beta m) - \varepsilon \log \sigma(-\beta m)",
        when="Each pair has one label, which may be wrong, and you want the margin bounded: the "
        "loss is smallest where the model's probability of the label is 1 − ε; DPO's has no end.",
        pitfalls=(
            "ε is a hyper-parameter. It is never taken from the probabilities of aggregation: for "
            "those use dpo with soft labels.",
            "It is no correction for flips. Where a share ε of many labels is flipped, the "
            "probability that plain DPO learns is already drawn towards ½, to 1 − 2ε of its "
            "distance; this loss draws it by the same factor once more, and so ends further from "
            "the true labels' optimum (docs/results, offline_methods). robust_dpo learns the true "
            "probability.",
        ),
        conventions=(
            "TRL 1.16's sigmoid loss ignores its label_smoothing, so cDPO is silently plain DPO "
            "there. OpenRLHF, LLaMA-Factory and the author's code agree with this one.",
        ),
        evidence="Agrees with three implementations as executed, the author's among them. The "
        "optimum under flips is solved on paper, tested as the root of the loss's gradient, and "
        "reached on a world of eight answers.",
    ),
    Method(
        name="robust_dpo",
        title="Robust DPO",
        paper="Ray Chowdhury, Kini and Natarajan 2024, Provably Robust DPO: Aligning Language "
        "Models with Noisy Feedback",
        url="https://arxiv.org/abs/2403.00409",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="DPO whose expectation under flipped labels is the loss on the true ones.",
        hyperparameters=NoisyDPOHyperparameters,
        loss="training.alignment.losses:robust_dpo_loss",
        formula=r"L = \frac{-(1 - \varepsilon) \log \sigma(\beta m) "
        r"+ \varepsilon \log \sigma(-\beta m)}{1 - 2 \varepsilon}",
        when="You know about how many labels are flipped, for example from gold items.",
        pitfalls=(
            "The loss may be negative; that is no fault.",
            "Near ε = 0.5 the division makes gradients large and noisy.",
            "The correction is right on average: with few pairs it fits their flips as well, so "
            "watch the held-out loss.",
            "ε is never taken from the probabilities of aggregation.",
        ),
        evidence="Agrees with TRL 1.16's robust loss as executed. That its optimum under flips is "
        "the true preference is tested as the root of its gradient, and reached on a world of "
        "eight answers.",
    ),
    Method(
        name="dpop",
        title="DPO-Positive",
        paper="Pal et al. 2024, Smaug: Fixing Failure Modes of Preference Optimisation with "
        "DPO-Positive",
        url="https://arxiv.org/abs/2402.13228",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="DPO with a penalty while the chosen answer is less likely than under the "
        "reference.",
        soft_labels=True,
        hyperparameters=DPOPHyperparameters,
        loss="training.alignment.losses:dpop_loss",
        formula=r"L = -\log \sigma(\beta (m - \lambda \max(0, -\Delta_w)))",
        when="The two answers of a pair differ in few tokens, or plain DPO lowers the chosen "
        "answers' likelihood more than you accept.",
        pitfalls=(
            "While the penalty acts, the gradient on the chosen answer is (1 + λ) times as large: "
            "keep gradient clipping on.",
        ),
        conventions=(
            "The penalty stands inside the sigmoid and is multiplied by β, as in the paper. "
            "Implementations that add it outside optimise something else.",
            f"{EXPECTED} The penalty then holds the rejected answer as well, by its probability; "
            "the paper has hard labels only.",
        ),
        evidence="The authors published no training code and the paper's text could not be read "
        "for this entry. Four independent texts quote this formula, one of them by authors who "
        "trained with it; two others move the penalty outside. A secondary text gives β = 0.3 and "
        "λ = 50 as those of section 5 (arXiv v2), with an ablation in which a λ of 5, 50 and 500 "
        "changed little.",
    ),
    Method(
        name="r_dpo",
        title="Length-regularised DPO",
        paper="Park et al. 2024, Disentangling Length from Quality in Direct Preference "
        "Optimization",
        url="https://arxiv.org/abs/2403.19159",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        needs_reference=True,
        summary="DPO that does not pay for length: a longer winner starts ahead and teaches less.",
        soft_labels=True,
        hyperparameters=RDPOHyperparameters,
        loss="training.alignment.losses:r_dpo_loss",
        formula=r"L = -\log \sigma(\beta m + \alpha (|y_w| - |y_l|))",
        when="Judges preferred longer answers and the trained model grows verbose.",
        pitfalls=(
            "α is in nats a token: with answers whose lengths differ by hundreds of tokens, 0.01 "
            "already moves the logit by several units.",
        ),
        conventions=(
            "The sign is plus: it follows from a reward that is penalised by α a token. A public "
            "fork subtracts the term.",
        ),
        evidence="Derived from the penalised reward; two independent texts on the paper give "
        "α(|y_w| − |y_l|) with this sign. No official code exists; the range of α is from "
        "secondary texts.",
    ),
)
