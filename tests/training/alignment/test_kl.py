import json
import math
from pathlib import Path

import pytest
import torch

from training.alignment.kl import (
    kl_estimates,
    kl_loss,
    next_coefficient,
    schulman_coefficient,
    ziegler_coefficient,
)

VECTORS = {
    entry["name"]: entry
    for entry in json.loads(
        (Path(__file__).parents[2] / "data" / "objective_vectors.json").read_text("utf-8")
    )
}
POLICY = torch.tensor([0.1, -0.4, 0.9, 0.2], dtype=torch.float64)
REFERENCE = torch.tensor([0.3, 0.1, -0.5, 0.4], dtype=torch.float64).log_softmax(0)


def test_estimators_give_the_worked_values():
    vector = VECTORS["kl_estimators"]
    values = [torch.tensor(vector["inputs"][name], dtype=torch.float64) for name in ("logp", "ref")]
    found = kl_estimates(*values)
    for name, value in vector["expected"].items():
        assert float(getattr(found, name)) == pytest.approx(value, abs=1e-9)


def test_k1_and_k3_are_unbiased_and_k3_is_never_negative():
    """All four outcomes, each weighted by its probability, leave no noise."""
    logps = POLICY.log_softmax(0)
    exact = float((logps.exp() * (logps - REFERENCE)).sum())
    found = kl_estimates(logps, REFERENCE)
    assert float(logps.exp() @ found.k1) == pytest.approx(exact)
    assert float(logps.exp() @ found.k3) == pytest.approx(exact)
    assert bool((found.k3 >= 0).all())


def exact_gradient() -> torch.Tensor:
    logits = POLICY.clone().requires_grad_()
    logps = logits.log_softmax(0)
    (logps.exp() * (logps - REFERENCE)).sum().backward()
    assert logits.grad is not None
    return logits.grad


def estimated_gradient(estimator: str) -> torch.Tensor:
    """The expectation, over samples of the policy, of a loss's gradient."""
    logits = POLICY.clone().requires_grad_()
    logps = logits.log_softmax(0)
    old = logps.detach()
    losses = kl_loss(logps, REFERENCE, old, estimator=estimator)  # type: ignore[arg-type]
    (old.exp() @ losses).backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize("estimator", ["k2", "k3_corrected"])
def test_as_a_loss_k2_and_the_corrected_k3_have_the_gradient_of_the_kl(estimator):
    assert torch.allclose(estimated_gradient(estimator), exact_gradient())


def test_as_a_loss_the_plain_k3_has_the_gradient_of_the_other_kl():
    """Its expected gradient is that of KL(reference || policy)."""
    logits = POLICY.clone().requires_grad_()
    (REFERENCE.exp() * (REFERENCE - logits.log_softmax(0))).sum().backward()
    assert torch.allclose(estimated_gradient("k3"), logits.grad)
    assert not torch.allclose(estimated_gradient("k3"), exact_gradient(), atol=1e-3)


def test_the_controllers_give_the_worked_histories():
    vector = VECTORS["ppo_adaptive_kl_schulman"]
    beta, history = vector["inputs"]["beta0"], []
    for observed in vector["inputs"]["observed_kl"]:
        beta = schulman_coefficient(beta, observed, target=0.01)
        history.append(beta)
    assert history == vector["expected"]["beta_history"]
    vector = VECTORS["ppo_adaptive_kl_ziegler"]
    beta, history = vector["inputs"]["beta0"], []
    for observed in vector["inputs"]["observed_kl"]:
        beta = ziegler_coefficient(
            beta, observed, target=6.0, horizon=10_000, samples=vector["inputs"]["n_steps"]
        )
        history.append(beta)
    assert history == pytest.approx(vector["expected"]["beta_history"])


@pytest.mark.parametrize("controller", ["schulman", "ziegler"])
def test_a_controller_brings_a_system_to_its_target(controller):
    """A policy whose KL is 3 / β: β must become 3 / target, from both sides."""
    for start in (0.05, 20.0):
        beta = start
        for _ in range(400):
            beta = next_coefficient(
                beta, 3.0 / beta, controller=controller, target=2.0, horizon=1000.0, samples=100
            )
        assert 3.0 / beta == pytest.approx(2.0, rel=0.5)


def test_more_samples_than_the_horizon_leave_the_coefficient_positive():
    found = ziegler_coefficient(0.5, 0.0, target=6.0, horizon=10.0, samples=1000)
    assert found == pytest.approx(0.05)


def test_a_fixed_coefficient_stays():
    kept = next_coefficient(0.3, 99.0, controller="fixed", target=1.0, horizon=1.0, samples=1)
    assert kept == 0.3


def test_a_freak_token_stays_finite():
    found = kl_estimates(torch.tensor([-1e4]), torch.tensor([0.0]))
    assert all(math.isfinite(float(value)) for value in found)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="must have one shape"):
        kl_estimates(torch.zeros(2), torch.zeros(3))


def test_a_controller_without_a_name_is_refused():
    with pytest.raises(ValueError, match="'adaptive' is no controller"):
        next_coefficient(0.1, 5.0, controller="adaptive", target=6.0, horizon=1e4, samples=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ["k2", "k3", "k3_corrected"])
def test_only_the_policy_gets_a_gradient(estimator):
    policy, reference, old = (torch.randn(2, 3, requires_grad=True) for _ in range(3))
    kl_loss(policy, reference, old, estimator=estimator).sum().backward()
    assert policy.grad is not None
    assert reference.grad is None
    assert old.grad is None


def test_the_correction_holds_where_the_old_policy_is_the_same_tensor():
    policy, reference = torch.randn(5, requires_grad=True), torch.randn(5)
    found, wanted = (
        torch.autograd.grad(kl_loss(policy, reference, old, estimator="k3_corrected").sum(), policy)
        for old in (policy, policy.detach().clone())
    )
    torch.testing.assert_close(found, wanted)
