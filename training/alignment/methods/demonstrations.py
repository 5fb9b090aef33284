"""Demonstrations: supervised fine-tuning."""

from dataclasses import dataclass

from training.alignment.methods.method import Method
from training.alignment.options import Options

FAMILY = "Demonstrations"


@dataclass(frozen=True)
class NoHyperparameters(Options):
    """The method has none of its own."""


METHODS = (
    Method(
        name="sft",
        title="Supervised fine-tuning",
        paper="Ouyang et al. 2022, Training language models to follow instructions with human "
        "feedback",
        url="https://arxiv.org/abs/2203.02155",
        family=FAMILY,
        data="demonstrations",
        also=("pairs",),
        needs_reference=False,
        summary="Makes good answers likely, token by token. The usual first step before any "
        "method that compares answers.",
        hyperparameters=NoHyperparameters,
        loss="training.alignment.losses:sft_loss",
        reduction="token",
        defaults={"learning_rate": 2e-5},
        formula=r"L = -\frac{1}{\sum_i |y_i|} \sum_i \log \pi_\theta(y_i \mid x_i)",
        when="You have answers worth imitating: written by people, or chosen ones of pairs. Run it "
        "first when the base model does not yet follow the format of your data.",
        pitfalls=(
            "It imitates the bad habits of its data as well; there is no signal against them.",
            "Several epochs over few examples are learned by heart: watch the held-out perplexity.",
        ),
        conventions=(
            "One mean over all tokens of an optimiser step, as TRL, OpenRLHF and LLaMA-Factory "
            "aim for. Means of micro-batches would count tokens of short answers more. The sum "
            "for each sequence, used by the DPO authors' code and by PRO, is sft_sequence.",
        ),
        evidence="A likelihood; worked values computed by hand.",
    ),
    Method(
        name="sft_sequence",
        title="Supervised fine-tuning by sequence",
        paper="Rafailov et al. 2023, Direct Preference Optimization (the authors' code for their "
        "SFT stage)",
        url="https://github.com/eric-mitchell/direct-preference-optimization",
        family=FAMILY,
        data="demonstrations",
        also=("pairs",),
        needs_reference=False,
        summary="Supervised fine-tuning where each answer, long or short, counts by its whole "
        "log-likelihood.",
        hyperparameters=NoHyperparameters,
        loss="training.alignment.losses:sft_sequence_loss",
        defaults={"learning_rate": 5e-7},
        formula=r"L = -\frac{1}{n} \sum_{i=1}^{n} \log \pi_\theta(y_i \mid x_i)",
        when="You reproduce work that summed log-likelihoods; otherwise take sft.",
        pitfalls=(
            "Losses and gradients are larger than those of sft by about the length of an answer, "
            "so its learning rate has to be smaller.",
        ),
        conventions=("The mean over tokens is sft.",),
        evidence="Read in the authors' code of DPO; worked values computed by hand.",
    ),
)
