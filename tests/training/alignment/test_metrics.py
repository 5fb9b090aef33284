"""The numbers of a metrics line."""

from __future__ import annotations

import torch

from training.alignment.metrics import COLUMNS, correctness


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


def test_without_a_reference_the_rewards_decide() -> None:
    rows = torch.tensor([row(chosen_reward=1e-4, chosen_log_probability=-200.0)])
    assert correctness(rows).tolist() == [1.0]


def test_a_lone_completion_is_right_by_the_sign_of_its_reward() -> None:
    nan = float("nan")
    good = row(chosen_reward=0.2, log_ratio_chosen=2.0, rejected_reward=nan)
    bad = row(chosen_reward=nan, rejected_reward=0.2, log_ratio_rejected=2.0)
    assert correctness(torch.tensor([good, bad])).tolist() == [1.0, 0.0]
