"""Reward models: one score an answer, for reinforcement learning, ranking and evaluation."""

from dataclasses import dataclass

from training.alignment.methods.demonstrations import NoHyperparameters
from training.alignment.methods.dpo import EXPECTED
from training.alignment.methods.lists import NO_STRENGTH
from training.alignment.methods.method import Method
from training.alignment.options import Options, option

FAMILY = "Reward models"


@dataclass(frozen=True)
class BradleyTerryHyperparameters(Options):
    margin_scale: float = option(
        0.0,
        help="Asks for a larger gap where judges preferred more strongly: score units per unit of "
        "strength. 0 treats all pairs alike.",
        min=0.0,
        max=100.0,
    )
    centering_weight: float = option(
        0.0,
        help="Holds the scores' mean at zero; about 0.01 when scores of several models are "
        "compared. 0 leaves the mean free.",
        min=0.0,
        max=100.0,
    )


METHODS = (
    Method(
        name="reward_bradley_terry",
        title="Bradley–Terry reward model",
        paper="Stiennon et al. 2020, Learning to summarize from human feedback",
        url="https://arxiv.org/abs/2009.01325",
        family=FAMILY,
        data="pairs",
        also=("lists",),
        trains="reward",
        needs_reference=False,
        summary="Learns a score whose differences predict which of two answers is preferred.",
        soft_labels=True,
        hyperparameters=BradleyTerryHyperparameters,
        loss="training.alignment.losses:bradley_terry_loss",
        defaults={"learning_rate": 1e-5},
        formula=r"L = -\log \sigma(r_w - r_l - \mu) + c \, (r_w + r_l)^2",
        when="You want a reward for reinforcement learning, for best-of-n or for watching runs, "
        "and your judgments are pairs.",
        pitfalls=(
            "More than one epoch over-fits quickly: watch held-out accuracy and calibration.",
            "Only differences mean something; centring makes scores comparable between models.",
            "Lists cut into pairs show the same answer many times: use reward_all_pairs for them.",
        ),
        conventions=(
            "The margin is Llama 2's (arXiv 2307.09288, eq. 2) and centring that of Eisenstein et "
            "al. (arXiv 2312.09244); both are off by default, as in the original.",
            f"{EXPECTED} That is reward_soft_labels with margin and centring; the margin is asked "
            "of whichever answer is the better one.",
        ),
        evidence="Agrees with OpenRLHF's loss as executed and with TRL 1.16 where both have the "
        "term; the centred value by hand.",
    ),
    Method(
        name="reward_all_pairs",
        title="Reward model from whole rankings",
        paper="Ouyang et al. 2022, Training language models to follow instructions with human "
        "feedback",
        url="https://arxiv.org/abs/2203.02155",
        family=FAMILY,
        data="lists",
        trains="reward",
        needs_reference=False,
        summary="Scores every answer of a ranked list once and compares all pairs of the list in "
        "one batch element.",
        hyperparameters=NoHyperparameters,
        loss="training.alignment.losses:all_pairs_loss",
        defaults={"learning_rate": 9e-6},
        formula=r"L = \frac{1}{|P|} \sum_{(i, j) \in P} -\log \sigma(r_i - r_j), "
        r"\quad P = \{(i, j) : i \succ j\}",
        when="Judges ranked three or more answers to a prompt.",
        pitfalls=(
            "A batch element holds all answers of a list; choose a smaller batch size.",
            "A list whose answers are all tied teaches nothing.",
        ),
        conventions=(
            "The paper divides by all pairs of K answers; with ties we divide by the pairs that "
            "are ordered, which is the same without ties.",
            NO_STRENGTH,
        ),
        evidence="Agrees with OpenRLHF's pairwise loss as executed over all pairs of a list.",
    ),
    Method(
        name="reward_soft_labels",
        title="Reward model from soft labels",
        paper="Lee et al. 2023, RLAIF: Scaling Reinforcement Learning from Human Feedback with AI "
        "Feedback",
        url="https://arxiv.org/abs/2309.00267",
        family=FAMILY,
        data="pairs",
        trains="reward",
        needs_reference=False,
        summary="Learns scores from the probability that an answer is better, so that close calls "
        "count as close.",
        soft_labels=True,
        hyperparameters=NoHyperparameters,
        loss="training.alignment.losses:soft_label_reward_loss",
        defaults={"learning_rate": 1e-5, "soft_labels": True},
        formula=r"L = -p \log \sigma(r_1 - r_2) - (1 - p) \log \sigma(r_2 - r_1)",
        when="Your pairs carry probabilities, from a judging model or from aggregation.",
        pitfalls=(
            "Soft labels must be switched on, or there is no probability to learn from.",
            "A judge prefers a position: its probabilities have to be averaged over both orders.",
        ),
        evidence="Read in a published copy of the paper: the cross-entropy of soft labels with the "
        "softmax of the scores (section 2.2.1), and labels as the mean over both orders (section "
        "2.1.1). The worked value is our own arithmetic; that p = 1 gives reward_bradley_terry is "
        "tested.",
    ),
)
