import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from training.alignment.losses import dpo_loss, kto_loss, kto_reference_point

VECTORS = {
    entry["name"]: entry
    for entry in json.loads(
        (Path(__file__).parents[3] / "data" / "objective_vectors.json").read_text("utf-8")
    )
}
kto = partial(kto_loss, beta=0.1, desirable_weight=1.0, undesirable_weight=1.0)
dpo: Any = dpo_loss
log_probs = st.floats(-200.0, 0.0)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pair_of(vector: dict[str, Any]) -> list[Tensor]:
    names = ("logp_w", "logp_l", "ref_w", "ref_l")
    return [double(vector["inputs"][name]).requires_grad_() for name in names]


def test_dpo_gives_the_worked_value_rewards_and_gradient():
    vector = VECTORS["dpo_sigmoid"]
    tensors = pair_of(vector)
    output = dpo(*tensors, beta=0.1)
    output.losses.sum().backward()
    expected = vector["expected"]
    grads: list[Any] = [tensor.grad for tensor in tensors]
    assert output.losses.item() == pytest.approx(expected["loss"], abs=1e-9)
    assert output.chosen_rewards.item() == pytest.approx(expected["chosen_reward"])
    assert output.rejected_rewards.item() == pytest.approx(expected["rejected_reward"])
    assert grads[0].item() == pytest.approx(expected["grad_wrt_logp_w"], abs=1e-9)
    assert grads[1].item() == pytest.approx(expected["grad_wrt_logp_l"], abs=1e-9)
    assert grads[2] is None
    assert grads[3] is None
    assert not output.chosen_rewards.requires_grad


def test_a_soft_target_is_conservative_dpo():
    tensors = pair_of(VECTORS["cdpo"])
    output = dpo(*tensors, target_probabilities=double(0.9), beta=0.1)
    assert output.losses.item() == pytest.approx(VECTORS["cdpo"]["expected"]["loss"], abs=1e-9)


def test_dpo_agrees_with_an_oracle_in_numpy():
    values = np.random.default_rng(0).normal(-30, 10, (4, 50))
    target = np.random.default_rng(1).uniform(size=50)
    margin = 0.3 * ((values[0] - values[2]) - (values[1] - values[3]))
    expected = target * np.logaddexp(0, -margin) + (1 - target) * np.logaddexp(0, margin)
    tensors = [torch.from_numpy(row) for row in values]
    output = dpo(*tensors, target_probabilities=torch.from_numpy(target), beta=0.3)
    np.testing.assert_allclose(output.losses.numpy(), expected, rtol=1e-12)


def test_dpo_at_the_reference_is_ln_2():
    same = double(-5.0, -700.0)
    assert torch.allclose(dpo_loss(same, same, same, same, beta=0.5).losses, double(math.log(2)))


@given(log_probs, log_probs, log_probs, log_probs, st.floats(0.0, 1.0))
def test_swapping_the_sides_turns_the_target_round(w, l, ref_w, ref_l, p):  # noqa: E741
    one, two = (
        dpo(*map(double, sides), target_probabilities=double(target), beta=0.1)
        for sides, target in (((w, l, ref_w, ref_l), p), ((l, w, ref_l, ref_w), 1 - p))
    )
    assert one.losses.item() == pytest.approx(two.losses.item(), abs=1e-9)


@given(log_probs, log_probs, st.floats(-50.0, 50.0))
def test_a_constant_added_to_policy_and_reference_changes_nothing(w, l, shift):  # noqa: E741
    base = dpo_loss(double(w), double(l), double(-9.0), double(-8.0), beta=0.1)
    moved = dpo_loss(double(w + shift), double(l), double(-9.0 + shift), double(-8.0), beta=0.1)
    assert base.losses.item() == pytest.approx(moved.losses.item(), abs=1e-9)


def test_dpo_stays_finite_far_out():
    output = dpo_loss(double(-1e6), double(0.0), double(0.0), double(-1e6), beta=1.0)
    assert output.losses.item() == pytest.approx(2e6)


def test_dpo_gradient_against_finite_differences():
    inputs = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    reference = [torch.randn(5, dtype=torch.float64) for _ in range(2)]
    target = torch.rand(5, dtype=torch.float64)
    soft = partial(dpo, target_probabilities=target, beta=0.7)
    assert torch.autograd.gradcheck(lambda *pair: soft(*pair, *reference).losses, inputs)


@pytest.mark.parametrize("name", ["kto", "kto_clamped_weighted"])
def test_kto_gives_the_worked_values(name):
    inputs, given_, expected = (
        VECTORS[name][part] for part in ("inputs", "hyperparameters", "expected")
    )
    mismatched = double(*inputs["mismatched_logratios"])
    point = kto_reference_point(mismatched, torch.zeros_like(mismatched))["reference_point"]
    assert point.item() == pytest.approx(expected["z0"], abs=1e-12)
    ratios = double(*inputs["logratios"])
    output = kto_loss(
        ratios,
        torch.zeros_like(ratios),
        labels=torch.tensor(inputs["labels"]),
        reference_point=point,
        beta=given_["beta"],
        desirable_weight=given_["lambda_D"],
        undesirable_weight=given_["lambda_U"],
    )
    assert output.losses.tolist() == pytest.approx(expected["losses"], abs=1e-9)
    assert output.losses.mean().item() == pytest.approx(expected["loss"], abs=1e-9)
    assert torch.allclose(output.rewards, given_["beta"] * ratios)


def test_kto_at_the_reference_is_half_the_weight():
    same, labels = double(-5.0, -9.0), torch.tensor([1, 0])
    weights = {"desirable_weight": 1.2, "undesirable_weight": 0.8}
    output = kto(same, same, labels=labels, reference_point=0.0, **weights)
    assert output.losses.tolist() == pytest.approx([0.6, 0.4])


@given(st.floats(-50, 50), st.floats(0, 20))
def test_kto_losses_of_both_labels_sum_to_one(ratio, point):
    arguments = (double(ratio), double(0.0))
    good, bad = (
        kto(*arguments, labels=torch.tensor([label]), reference_point=double(point)).losses
        for label in (1, 0)
    )
    assert (good + bad).item() == pytest.approx(1.0)


def test_kto_gradient_against_finite_differences_and_none_through_the_reference_point():
    policy = torch.randn(4, dtype=torch.float64, requires_grad=True)
    mismatched = torch.randn(4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1, 0, 1, 0])
    zeros = torch.zeros(4, dtype=torch.float64)
    point = kto_reference_point(mismatched + 1, zeros)["reference_point"]
    assert not point.requires_grad
    given_ = {"labels": labels, "reference_point": point}
    assert torch.autograd.gradcheck(lambda p: kto(p, zeros, **given_).losses, [policy])


def test_a_reference_point_may_be_a_number():
    log_ratio, zero, good = double(0.7), double(0.0), torch.tensor([1])
    number, tensor = (
        kto(log_ratio, zero, labels=good, reference_point=point).losses.item()
        for point in (0.2, double(0.2))
    )
    assert number == tensor == pytest.approx(1 / (1 + math.exp(0.05)))


@pytest.mark.parametrize("label", [-1, 0.5, 2, math.nan])
def test_a_label_that_is_neither_good_nor_bad_is_refused(label):
    """With −1 for bad, as classifiers have it, the sign would silently be −3."""
    with pytest.raises(ValueError, match="labels must be 1"):
        kto(double(-1, -2), double(-1, -2), labels=double(1, label), reference_point=0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: dpo_loss(double(1), double(1, 2), double(1), double(1), beta=0.1),
        lambda: dpo(*[torch.zeros(2, 3)] * 4, beta=0.1),
        lambda: dpo(*[double(1)] * 4, target_probabilities=double(1, 1), beta=0.1),
        lambda: kto(double(1), double(1), labels=torch.tensor([1, 0]), reference_point=0.0),
        lambda: kto(double(1), double(1), labels=torch.tensor([1]), reference_point=double(0, 0)),
        lambda: kto_reference_point(double(1), double(1, 2)),
    ],
)
def test_wrong_shapes_are_refused(call):
    with pytest.raises(ValueError, match=r"expected tensors|must be a scalar"):
        call()
