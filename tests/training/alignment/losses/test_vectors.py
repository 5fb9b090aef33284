"""Worked values: computed apart in float64, many checked against other implementations."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training.alignment import losses
from training.alignment.credit import token_credit
from training.alignment.losses.beta_dpo import beta_of_step, updated_state

DATA = Path(__file__).parents[3] / "data" / "objective_vectors.json"
VECTORS = {entry["name"]: entry for entry in json.loads(DATA.read_text("utf-8"))}
PAIR = ("logp_w", "logp_l", "ref_w", "ref_l")
# Inputs that a loss takes by name: all but log-probabilities and scores.
NAMED = {
    "len_w": "chosen_lengths",
    "len_l": "rejected_lengths",
    "margin": "margins",
    "p_first": "target_probabilities",
}


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def inputs(name: str, *names: str) -> list[Tensor]:
    return [double(VECTORS[name]["inputs"][one]) for one in names]


def expected(name: str, key: str = "loss") -> Any:
    return pytest.approx(VECTORS[name]["expected"][key], abs=1e-9)


DIVERGENCES: dict[str, dict[str, Any]] = {
    "reverse_kl": {"divergence": "reverse_kl"},
    "forward_kl": {"divergence": "forward_kl"},
    "js": {"divergence": "jensen_shannon"},
    "alpha_0.5": {"divergence": "alpha", "alpha": 0.5},
    "alpha_0.3": {"divergence": "alpha", "alpha": 0.3},
}
# Name of the vector: the loss, which inputs it takes in order, its hyper-parameters.
PAIRS: dict[str, tuple[Any, tuple[str, ...], dict[str, Any]]] = {
    "dpo_sigmoid": (losses.dpo_loss, PAIR, {"beta": 0.1}),
    "sdpo_step2": (losses.dpo_loss, PAIR, {"beta": 0.1}),
    "cdpo": (losses.cdpo_loss, PAIR, {"beta": 0.1, "epsilon": 0.1}),
    "robust_dpo": (losses.robust_dpo_loss, PAIR, {"beta": 0.1, "epsilon": 0.1}),
    "ipo_summed": (losses.ipo_loss, (*PAIR, "len_w", "len_l"), {"tau": 0.1}),
    "ipo_length_averaged": (
        losses.ipo_loss,
        (*PAIR, "len_w", "len_l"),
        {"tau": 0.1, "normalisation": "averaged"},
    ),
    **{
        f"gpo_{function}{suffix}": (
            losses.gpo_loss,
            PAIR,
            {"beta": beta, "convex_function": function},
        )
        for function in (
            "logistic", "hinge", "squared", "exponential", "truncated_squared", "savage",
        )
        for suffix, beta in (("", 0.1), ("_beta1", 1.0))
    },
    "rso_hinge_norm": (losses.rso_loss, PAIR, {"gamma": 0.05}),
    **{
        name: (losses.dpop_loss, PAIR, {"beta": 0.3, "penalty_weight": weight})
        for name, weight in (
            ("dpop_inactive", 50.0), ("dpop_active", 50.0), ("dpop_active_small_lambda", 5.0),
        )
    },
    "r_dpo": (losses.r_dpo_loss, (*PAIR, "len_w", "len_l"), {"beta": 0.1, "alpha": 0.01}),
    **{
        f"fdpo_{name}": (losses.f_dpo_loss, PAIR, {"beta": 0.1, **options})
        for name, options in DIVERGENCES.items()
    },
    **{
        name: (losses.slic_hf_loss, PAIR[:2], {"delta": 1.0, "regularisation_weight": 0.5})
        for name in ("slic_hf", "slic_hf_active")
    },
    "orpo": (
        losses.orpo_loss,
        (*PAIR[:2], "len_w", "len_l"),
        {"odds_ratio_weight": 0.1},
    ),
    "simpo": (
        losses.simpo_loss,
        (*PAIR[:2], "len_w", "len_l"),
        {"beta": 2.0, "gamma_beta_ratio": 0.5},
    ),
    "rm_bradley_terry": (losses.bradley_terry_loss, ("r_w", "r_l"), {}),
    "rm_bt_margin": (losses.bradley_terry_loss, ("r_w", "r_l", "margin"), {"margin_scale": 1.0}),
    "rm_bt_centered": (losses.bradley_terry_loss, ("r_w", "r_l"), {"centering_weight": 0.01}),
    "rm_soft_label_rlaif": (losses.soft_label_reward_loss, ("r_1", "r_2", "p_first"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_the_worked_value_of_a_pair(name):
    loss, names, options = PAIRS[name]
    values = dict(zip(names, inputs(name, *names), strict=True))
    named = {NAMED[key]: values.pop(key) for key in names if key in NAMED}
    assert loss(*values.values(), **named, **options).losses.item() == expected(name)


@pytest.mark.parametrize(
    ("name", "divergence", "alpha"),
    [
        ("fdpo_reverse_kl", "reverse_kl", 0.5),
        ("fdpo_forward_kl", "forward_kl", 0.5),
        ("fdpo_js", "jensen_shannon", 0.5),
        ("fdpo_alpha_0.3", "alpha", 0.3),
    ],
)
def test_rewards_under_a_divergence(name, divergence, alpha):
    output = losses.f_dpo_loss(*inputs(name, *PAIR), beta=1.0, divergence=divergence, alpha=alpha)
    assert output.chosen_rewards.item() == expected(name, "f_w")
    assert output.rejected_rewards.item() == expected(name, "f_l")


def test_dpo_of_means_a_token():
    name = "dpo_norm"
    chosen_lengths, rejected_lengths = inputs(name, "len_w", "len_l")
    output = losses.dpo_loss(
        *inputs(name, *PAIR), chosen_lengths=chosen_lengths, rejected_lengths=rejected_lengths,
        beta=5.0, normalisation="averaged",
    )  # fmt: skip
    assert output.losses.item() == expected(name)


def test_cpo_with_either_likelihood():
    chosen, rejected, length = inputs("cpo", "logp_w", "logp_l", "len_w")
    cpo = partial(losses.cpo_loss, chosen, rejected, beta=0.1, nll_weight=1.0)
    cpo = partial(cpo, chosen_lengths=length, rejected_lengths=length)
    assert cpo().losses.item() == expected("cpo", "loss_sequence_sum")
    mean = cpo(nll="token_mean")
    assert mean.losses.item() == expected("cpo", "loss_token_mean")


def test_orpo_is_likelihood_and_odds_ratio():
    chosen, rejected, *lengths = inputs("orpo", "logp_w", "logp_l", "len_w", "len_l")
    orpo = partial(losses.orpo_loss, chosen, rejected)
    orpo = partial(orpo, chosen_lengths=lengths[0], rejected_lengths=lengths[1])
    none = orpo(odds_ratio_weight=0.0).losses.item()
    assert none == expected("orpo", "nll_response_mean")
    one = orpo(odds_ratio_weight=1.0).losses.item()
    assert none - one == expected("orpo", "ratio_term")


def test_likelihood_by_token_and_by_sequence():
    tokens = double(*VECTORS["sft_token_mean"]["inputs"]["token_logps"])
    total, length = tokens.sum().reshape(1), double(len(tokens))
    mean = losses.sft_loss(total, completion_lengths=length)
    assert mean.losses.item() == expected("sft_token_mean")
    assert losses.sft_sequence_loss(total).losses.item() == expected("sft_sequence_sum")


def test_all_pairs_of_a_list():
    name = "rm_instructgpt_all_pairs"
    scores = double(*VECTORS[name]["inputs"]["rewards_best_to_worst"]).unsqueeze(0)
    output = losses.all_pairs_loss(scores, list_ranks=torch.tensor([[1, 2, 3, 4]]))
    assert output.losses.item() == expected(name)


def test_a_ranking_under_plackett_luce():
    name = "dpo_plackett_luce"
    rewards = double(*VECTORS[name]["inputs"]["scores_best_to_worst"]).unsqueeze(0)
    for ties in ("left_out", "pulled_together"):
        output = losses.plackett_luce_loss(
            rewards,
            torch.zeros_like(rewards),
            list_ranks=torch.tensor([[1, 2, 3]]),
            beta=1.0,
            ties=ties,
        )
        assert output.losses.item() == expected(name)
        assert torch.equal(output.list_rewards, rewards)


def test_a_judge_is_averaged_over_both_orders():
    name = "rlaif_position_debias"
    orders = VECTORS[name]["inputs"]
    first, second = (
        double(orders[order]["logp_1"], orders[order]["logp_2"]).unsqueeze(0)
        for order in ("order_AB", "order_BA")
    )
    assert losses.position_debiased_probabilities(first, second).item() == expected(name, "p_A")


def test_credit_by_token():
    name = "token_dpo_r_to_q"
    policy, reference = (
        double(*VECTORS[name]["inputs"][key]) for key in ("token_logps", "ref_token_logps")
    )
    credit = token_credit(policy.requires_grad_(), reference, beta=0.1)
    assert credit.tolist() == expected(name, "token_rewards")
    assert credit.sum().item() == expected(name, "sequence_reward")
    assert not credit.requires_grad
    with pytest.raises(ValueError, match="must have one shape"):
        token_credit(policy, reference[:2], beta=0.1)


def test_dynamic_beta_by_the_paper():
    name = "beta_dpo_paper_convention"
    margins = double(*VECTORS[name]["inputs"]["gaps"])
    gaps = 0.1 * margins
    assert gaps.tolist() == expected(name, "M_i")
    beta = beta_of_step(gaps, torch.ones(4), 0.05, beta=0.1, alpha=0.6)
    assert beta.item() == expected(name, "beta_batch")
    zeros = torch.zeros_like(margins)
    output = losses.beta_dpo_loss(margins, zeros, zeros, zeros, step_beta=beta)
    assert output.losses.mean().item() == expected(name)


def test_dynamic_beta_by_the_authors_code():
    name = "beta_dpo_code_convention"
    gaps = double(*VECTORS[name]["inputs"]["gaps"])
    state = updated_state({}, gaps, 0.9, from_zero=True)
    assert state["mean"] == expected(name, "ema_mean")
    assert state["deviation"] == expected(name, "ema_std")
    keep = double(0, 1, 0, 1)
    beta = beta_of_step(gaps, keep, state["mean"], beta=0.1, alpha=0.6)
    assert beta.item() == expected(name, "beta_used")
    zeros = torch.zeros_like(gaps)
    output = losses.beta_dpo_loss(gaps, zeros, zeros, zeros, step_beta=beta)
    assert ((output.losses * keep).sum() / 2).item() == expected(name)
