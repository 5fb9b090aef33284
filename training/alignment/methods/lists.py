"""Ranked lists."""

from dataclasses import dataclass

from training.alignment.methods.dpo import beta_option
from training.alignment.methods.method import Method
from training.alignment.options import Options, option

# What aggregation knows and a list cannot say.
NO_STRENGTH = (
    "A list has an order and a weight, but no strength: by how much an answer was judged better is "
    "not used."
)


@dataclass(frozen=True)
class PlackettLuceHyperparameters(Options):
    beta: float = beta_option(0.1)
    ties: str = option(
        "left_out",
        help="left_out: tied answers do not compete, so a tie says nothing. pulled_together: they "
        "compete with each other, which draws their rewards towards equality.",
        choices=("left_out", "pulled_together"),
    )


METHODS = (
    Method(
        name="dpo_pl",
        title="DPO of rankings (Plackett–Luce)",
        paper="Rafailov et al. 2023, Direct Preference Optimization: Your Language Model is "
        "Secretly a Reward Model, appendix A.3",
        url="https://arxiv.org/abs/2305.18290",
        family="Ranked lists",
        data="lists",
        needs_reference=True,
        summary="DPO for a whole ranking: each answer is to be chosen from itself and all that are "
        "worse.",
        hyperparameters=PlackettLuceHyperparameters,
        loss="training.alignment.losses:plackett_luce_loss",
        formula=r"L = \sum_{i} \left( \log \sum_{j \, : \, j = i \, \vee \, i \succ j} "
        r"e^{\beta \Delta_j} - \beta \Delta_i \right)",
        when="Judges ranked three or more answers: one list says more than the pairs cut from it, "
        "and every answer is scored once.",
        pitfalls=(
            "The loss sums over positions, so long lists weigh more than short ones.",
            "A batch element holds all answers of a list; choose a smaller batch size.",
        ),
        conventions=(
            "The paper has no ties. By default tied answers do not compete (left_out), as tied "
            "pairs teach nothing; pulled_together is Breslow's likelihood. Without ties both are "
            "the paper's.",
            NO_STRENGTH,
        ),
        evidence="The paper's appendix A.3 read in a published copy (the model of rankings and its "
        "reduction to Bradley–Terry at two answers); equal to DPO at two answers, and to the "
        "enumerated Plackett–Luce probability of orders, both tested.",
    ),
)
