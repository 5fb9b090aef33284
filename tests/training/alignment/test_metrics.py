"""The numbers of a metrics line."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kendalltau

from training.alignment.batches import LIST_ROLE
from training.alignment.metrics import (
    COLUMNS,
    correctness,
    list_agreement,
    summarize,
    without_rounding,
)


def row(**values: float) -> list[float]:
    return [values.get(name, 0.0) for name in COLUMNS]


def test_a_pair_is_right_when_chosen_is_rewarded_more() -> None:
    rows = torch.tensor(
        [
            row(chosen_reward=0.1, log_ratio_chosen=1.0, chosen_log_probability=-200.0),
            row(rejected_reward=0.1, log_ratio_rejected=1.0, rejected_log_probability=-200.0),
            row(),
        ]
    )
    assert correctness(rows).tolist() == [1.0, 0.0, 0.5]


def test_rounding_is_no_preference() -> None:
    """The reference against itself, scored in other batches."""
    noise = {"log_ratio_chosen": 6e-4, "chosen_reward": 6e-5}
    rows = torch.tensor([row(**noise, chosen_log_probability=-200.0)])
    assert correctness(rows).tolist() == [0.5]


def test_rounding_orders_no_list() -> None:
    reference = {LIST_ROLE: torch.tensor([[-200.0, -100.0, -50.0]])}
    policy = {LIST_ROLE: reference[LIST_ROLE] + torch.tensor([[6e-4, -3e-4, 1.0]])}
    rewards = 0.1 * (policy[LIST_ROLE] - reference[LIST_ROLE])
    found = without_rounding(rewards, policy, reference)
    assert found.tolist() == [[0.0, 0.0, pytest.approx(0.1)]]
    assert torch.equal(without_rounding(rewards, policy, {}), rewards)


def test_what_ties_takes_no_part_in_accuracy_and_margin() -> None:
    nan = float("nan")
    right = row(weight=1.0, loss_weight=1.0, chosen_reward=0.3, rejected_reward=0.1)
    tie = row(weight=9.0, loss_weight=1.0, loss=2.0, chosen_reward=nan, rejected_reward=nan)
    found = summarize(torch.tensor([right, tie]))
    assert (found["accuracy"], found["loss"]) == (1.0, 1.0)
    assert found["reward_margin"] == pytest.approx(0.2)


def test_without_a_reference_the_rewards_decide() -> None:
    rows = torch.tensor([row(chosen_reward=1e-4, chosen_log_probability=-200.0)])
    assert correctness(rows).tolist() == [1.0]


def test_a_lone_completion_is_right_by_the_sign_of_its_reward() -> None:
    nan = float("nan")
    good = row(chosen_reward=0.2, log_ratio_chosen=2.0, rejected_reward=nan)
    bad = row(chosen_reward=nan, rejected_reward=0.2, log_ratio_rejected=2.0)
    assert correctness(torch.tensor([good, bad])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("rewards", "ranks"),
    [
        ([3.0, 2.0, 1.0], [1, 2, 3]),
        ([1.0, 3.0, 2.0, 0.5], [1, 2, 3, 4]),
        ([1.0, 1.0, 2.0, 0.5], [2, 1, 1, 3]),
        ([0.1, 0.4, 0.3, 0.2, 0.9], [3, 1, 2, 2, 1]),
    ],
)
def test_agreement_of_a_list_is_kendalls_tau_b_whatever_the_padding(rewards, ranks):
    expected = kendalltau(rewards, [-rank for rank in ranks]).statistic
    for padding in (0, 3):
        found = list_agreement(
            torch.tensor([rewards + [9.0] * padding]), torch.tensor([ranks + [0] * padding])
        )
        assert float(found["kendall_tau"]) == pytest.approx(expected)


def test_shares_of_pairs_and_the_first_place():
    rewards = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    ranks = torch.tensor([[2, 1, 3], [1, 2, 0], [1, 1, 1]])
    found = list_agreement(rewards, ranks)
    assert found["pair_accuracy"].tolist()[:2] == pytest.approx([2 / 3, 0.5])
    assert found["best_first"].tolist()[:2] == [0.0, 1.0]
    assert found["kendall_tau"].tolist()[1] == 0.0
    assert all(math.isnan(values[2]) for values in found.values())


def test_the_loss_has_its_own_weights():
    nan = float("nan")
    rows = [
        dict.fromkeys(COLUMNS, nan) | {"loss": loss, "weight": 1.0, "loss_weight": share}
        for loss, share in ((1.0, 1.0), (4.0, 3.0), (100.0, 0.0))
    ]
    found = summarize(torch.tensor([[line[name] for name in COLUMNS] for line in rows]))
    assert found == {"loss": pytest.approx(3.25)}


def test_perplexity_is_of_tokens_not_of_answers():
    nan = float("nan")
    rows = [
        dict.fromkeys(COLUMNS, nan)
        | {"loss": 0.0, "weight": 1.0, "loss_weight": 1.0}
        | {"chosen_log_probability": total, "tokens": tokens}
        for total, tokens in ((-1.0, 1.0), (-3.0, 9.0))
    ]
    found = summarize(torch.tensor([[line[name] for name in COLUMNS] for line in rows]))
    assert found["nll"] == pytest.approx(0.4)
    assert found["perplexity"] == pytest.approx(math.exp(0.4))
