"""Losses of the online loop against worked values, oracles and finite differences."""

import inspect
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.alignment import tiny
from training.alignment import losses
from training.alignment.experience import token_scores
from training.alignment.log_probs import CompletionScorer
from training.alignment.losses.policy_gradient import (
    clipped_surrogate,
    grpo_loss,
    ppo_loss,
    ptx_loss,
    reinforce_loss,
    rloo_loss,
    sampler_weights,
    token_weights,
    value_loss,
)
from training.alignment.methods import get_method, methods, parse_hyperparameters
from training.alignment.rollouts.protocol import Rollout

VECTORS = {
    entry["name"]: entry
    for entry in json.loads(
        (Path(__file__).parents[2] / "data" / "objective_vectors.json").read_text("utf-8")
    )
}
MASK = torch.tensor([[True, True, False], [True, True, True]])


def padded(rows: list[list[float]]) -> Tensor:
    width = max(map(len, rows))
    filled = [row + [0.0] * (width - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.float64)


def noise(seed: int, *, scale: float = 0.3) -> Tensor:
    values = np.random.default_rng(seed).normal(-1.0, scale, MASK.shape)
    return torch.from_numpy(values)


def row(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def mean(losses: Tensor, mask: Tensor, reduction: Any, max_length: int = 4) -> Tensor:
    return (losses * token_weights(mask, reduction, max_length=max_length)).sum()


def test_the_clip_gives_the_worked_values():
    vector = VECTORS["ppo_clip"]
    ratios = row(vector["inputs"]["ratios"])
    mask = torch.ones_like(ratios, dtype=torch.bool)
    advantages = row(vector["inputs"]["advantages"])
    found = clipped_surrogate(ratios.log(), torch.zeros_like(ratios), advantages, mask, 0.2, 0.2)
    assert found.losses[0].tolist() == pytest.approx(vector["expected"]["per_token"])
    assert float(found.losses.mean()) == pytest.approx(vector["expected"]["loss"], abs=1e-9)
    assert found.clipped.tolist() == [[1.0, 1.0, 0.0]]


def test_the_value_loss_gives_the_worked_value():
    vector = VECTORS["ppo_value_clip"]
    values, old, returns = (row(vector["inputs"][n]) for n in ("values", "old_values", "returns"))
    mask = torch.ones_like(values, dtype=torch.bool)
    found = value_loss(values, old, returns, mask, clip_range=0.2)
    assert float(found.mean()) == pytest.approx(vector["expected"]["loss"])
    free = value_loss(values, old, returns, mask, clip_range=0.0)
    assert torch.allclose(free, 0.5 * (values - returns) ** 2)


def test_grpo_gives_the_worked_values_of_its_three_means():
    vector = VECTORS["grpo_loss"]
    logps, old, reference = (
        padded(vector["inputs"][name]) for name in ("logps", "old_logps", "ref_logps")
    )
    advantages = torch.tensor(vector["inputs"]["advantages"], dtype=torch.float64)[:, None]
    output = grpo_loss(logps, old, reference, advantages.expand_as(MASK), MASK)
    for reduction, name in (
        ("sequence", "loss_seq_mean"),
        ("token", "loss_token_mean"),
        ("dr_grpo", "loss_dr_grpo_max_len_4"),
    ):
        found = float(mean(output.losses, MASK, reduction))
        assert found == pytest.approx(vector["expected"][name], abs=1e-7)


def test_grpo_with_the_ratio_on_k3_is_popular_codes_value():
    vector = VECTORS["grpo_loss"]
    logps, old, reference = (
        padded(vector["inputs"][name]) for name in ("logps", "old_logps", "ref_logps")
    )
    advantages = torch.tensor(vector["inputs"]["advantages"], dtype=torch.float64)[:, None]
    output = grpo_loss(
        logps, old, reference, advantages.expand_as(MASK), MASK, kl_estimator="k3_corrected"
    )
    assert float(mean(output.losses, MASK, "sequence")) == pytest.approx(-0.017710, abs=1e-6)


def test_rloo_gives_the_worked_surrogate():
    vector = VECTORS["rloo_loss"]
    sums = torch.tensor(vector["inputs"]["logp_sums"], dtype=torch.float64)
    logps = (sums / MASK.sum(dim=1))[:, None] * MASK
    advantages = torch.tensor(vector["expected"]["advantages"], dtype=torch.float64)[:, None] * MASK
    output = rloo_loss(logps, logps, advantages, MASK)
    expected = vector["expected"]["reinforce_surrogate"]
    assert float(mean(output.losses, MASK, "sum")) == pytest.approx(expected)


def test_ppo_ptx_adds_up_to_the_worked_total():
    vector = VECTORS["ppo_ptx_total"]
    nll = vector["inputs"]["pretrain_nll_token_mean"]
    gamma = parse_hyperparameters(get_method("ppo_ptx"), {}).ptx_coefficient
    logps = torch.full(MASK.shape, -nll, dtype=torch.float64)
    term = ptx_loss(logps, MASK).sum() / MASK.sum()
    total = vector["inputs"]["ppo_loss"] + gamma * float(term)
    assert total == pytest.approx(vector["expected"]["loss"])


NAMES = ("reinforce", "rloo", "rloo clip", "ppo", "grpo k2", "grpo k3", "grpo k3_corrected")


def losses_of(name: str, *inputs: Tensor, far: str = "") -> Tensor:
    """In the inputs' precision; with `far`, where all answers are impossible under that model."""
    policy, values, entropies = inputs
    old, reference, advantages, other, returns, sampled = (
        part.to(policy)
        for part in (noise(2), noise(3), noise(4, scale=1.0), *map(noise, (5, 6, 7)))
    )
    if far == "old":
        old = torch.full_like(policy, -1e4)
    if far == "reference":
        reference = torch.full_like(policy, -1e4)
    if name == "reinforce":
        return reinforce_loss(
            policy, advantages, MASK, None, entropies, entropy_coefficient=0.1
        ).losses
    if name.startswith("rloo"):
        objective: Any = "sequence_clip" if name == "rloo clip" else "reinforce"
        same = advantages[:, :1].expand_as(MASK)
        return rloo_loss(policy, old, same, MASK, objective=objective).losses
    if name == "ppo":
        return ppo_loss(
            policy, old, advantages, MASK, values, other, returns, sampled.exp(), entropies,
            entropy_coefficient=0.1,
        ).losses  # fmt: skip
    estimator: Any = name.split()[1]
    return grpo_loss(policy, old, reference, advantages, MASK, kl_estimator=estimator).losses


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(name):
    inputs = [noise(seed).requires_grad_() for seed in (1, 8, 9)]

    def total(*tensors: Tensor) -> Tensor:
        return mean(losses_of(name, *tensors), MASK, "token")

    total(*inputs).backward()
    for number, tensor in enumerate(inputs):
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        for place in product(range(2), range(3)):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [item.detach().clone() for item in inputs]
                moved[number][place] += step
                ends.append(float(total(*moved)))
            assert float(grad[place]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_at_padding_changes_nothing(name):
    inputs = [noise(seed) for seed in (1, 8, 9)]
    expected = losses_of(name, *inputs)
    for tensor in inputs:
        tensor[0, 2] = 1e6
    found = losses_of(name, *inputs)
    assert torch.equal(found, expected)
    assert found[0, 2] == 0.0


@pytest.mark.parametrize(
    "loss",
    [
        lambda values: value_loss(values, noise(5), noise(6), MASK, clip_range=0.2),
        lambda values: value_loss(values, noise(5), noise(6), MASK, clip_range=0.0),
        lambda logps: ptx_loss(logps, MASK),
    ],
)
def test_a_term_of_its_own_looks_at_no_padding_either(loss):
    dirty = noise(1)
    dirty[0, 2] = 1e6
    assert torch.equal(loss(dirty), loss(noise(1)))
    assert loss(dirty)[0, 2] == 0.0


@pytest.mark.parametrize("reduction", ["sum", "sequence", "token", "dr_grpo"])
def test_means_agree_with_an_oracle_and_with_any_split(reduction):
    values, lengths = noise(1).numpy(), [2, 3]
    sums = [values[i, :n].sum() for i, n in enumerate(lengths)]
    expected = {
        "sum": np.mean(sums),
        "sequence": np.mean([s / n for s, n in zip(sums, lengths, strict=True)]),
        "token": sum(sums) / sum(lengths),
        "dr_grpo": np.mean(sums) / 4,
    }[reduction]
    assert float(mean(noise(1), MASK, reduction)) == pytest.approx(expected)


def test_at_the_first_update_all_surrogates_have_the_gradient_of_reinforce():
    advantages = torch.tensor([[1.0], [-0.5]], dtype=torch.float64).expand_as(MASK)
    grads = []
    for loss in (
        lambda p, o: mean(reinforce_loss(p, advantages, MASK).losses, MASK, "sum"),
        lambda p, o: mean(
            rloo_loss(p, o, advantages, MASK, objective="sequence_clip").losses, MASK, "sum"
        ),
        lambda p, o: mean(grpo_loss(p, o, o, advantages, MASK, beta=0.0).losses, MASK, "sum"),
    ):
        policy = noise(1).requires_grad_()
        loss(policy, policy.detach()).backward()
        grads.append(policy.grad)
    assert torch.allclose(grads[0], grads[1])
    assert torch.allclose(grads[0], grads[2])


def test_reinforce_has_the_exact_gradient_of_the_expected_reward():
    """A bandit whose arms are all drawn, each weighted by its probability, leaves no noise."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    (logits.softmax(0) @ rewards).backward()
    exact, logits.grad = logits.grad, None
    probabilities = logits.detach().softmax(0)
    mask = torch.ones(3, 1, dtype=torch.bool)
    losses = reinforce_loss(logits.log_softmax(0)[:, None], rewards[:, None] - 0.7, mask).losses
    (probabilities[:, None] * losses).sum().backward()
    assert torch.allclose(logits.grad, -exact)


def test_sampler_weights_are_cut_and_carry_no_gradient():
    old = row([0.0, 0.0, 0.0]).requires_grad_()
    sampler, mask = row([0.0, -5.0, 1.0]), torch.tensor([[True, True, False]])
    found = sampler_weights(old, sampler, mask, cap=2.0)
    assert found[0, :2].tolist() == [1.0, 2.0]
    assert not found.requires_grad
    whole = sampler_weights(old, row([0.1, 0.2, 9.0]), mask, level="sequence")
    assert whole[0].tolist() == pytest.approx([np.exp(-0.3)] * 3)


def test_importance_weights_make_an_off_policy_mean_right():
    """Samples of a sampler that rounds differently, weighted, give the trainer's expectation."""
    trainer = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    sampler = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64).log()
    mask = torch.ones(3, 1, dtype=torch.bool)
    weights = sampler_weights(trainer[:, None], sampler[:, None], mask)[:, 0]
    values = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert float(sampler.exp() @ (weights * values)) == pytest.approx(float(trainer.exp() @ values))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("far", ["policy", "old", "reference"])
def test_low_precision_log_probabilities_stay_finite(name, far):
    extreme = -1e4 if far == "policy" else -1e-3
    values = (torch.full(MASK.shape, extreme), *(noise(seed).float() for seed in (8, 9)))
    inputs = [value.bfloat16().float().requires_grad_() for value in values]
    losses = losses_of(name, *inputs, far=far)
    losses.sum().backward()
    assert losses.dtype is torch.float32
    assert losses.isfinite().all()
    assert all(one.grad is None or one.grad.isfinite().all() for one in inputs)


@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name):
    exact = [noise(seed).bfloat16().double() for seed in (1, 8, 9)]
    rounded = losses_of(name, *(one.float() for one in exact))
    torch.testing.assert_close(rounded.double(), losses_of(name, *exact), rtol=1e-5, atol=1e-5)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"advantages has the shape \(2, 2\), but the mask"):
        reinforce_loss(noise(1), noise(1)[:, :2], MASK)
    with pytest.raises(ValueError, match="is no reduction"):
        token_weights(MASK, "mean", max_length=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'k1' is no KL loss"):
        grpo_loss(noise(1), noise(1), noise(1), noise(1), MASK, kl_estimator="k1")  # type: ignore[arg-type]


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_entropies_are_those_of_the_next_tokens_distribution(temperature, packs):
    scorer = CompletionScorer(tiny.llama(), temperature=temperature)
    assert scorer.packs
    scorer.packs = packs
    prompt = np.array([5, 6, 7], np.int32)
    completions = [np.array([8, 9], np.int32), np.array([1, 2, 3, 4], np.int32)]
    rollouts = [
        Rollout(prompt, "", item, "", np.zeros(len(item), np.float32), "stop", 0)
        for item in completions
    ]
    device = torch.device("cpu")
    logps, found = token_scores(scorer, rollouts, device, entropies=True).unbind(2)
    assert torch.allclose(logps, token_scores(scorer, rollouts, device), atol=1e-6)
    expected = []
    for row, item in enumerate(completions):
        ids = torch.from_numpy(np.concatenate([prompt, item]).astype(np.int64))[None]
        logits = scorer.model(ids).logits[0, len(prompt) - 1 : -1] / temperature
        expected.append(torch.distributions.Categorical(logits=logits).entropy())
        assert torch.allclose(found[row, : len(item)], expected[row], atol=1e-5)
        assert not found[row, len(item) :].any()
    weights = list(scorer.parameters())
    slopes = torch.autograd.grad(found.sum(), weights)
    others = torch.autograd.grad(torch.cat(expected).sum(), weights)
    for slope, other in zip(slopes, others, strict=True):
        assert torch.allclose(slope, other, atol=1e-4)


def test_methods_that_compare_answers_say_so():
    """A form refuses a lone answer without torch; the functions themselves take its number."""
    for method in methods():
        statistic = method.load_step_statistic()
        if method.loop == "online" and statistic is not None:
            compares = "per_prompt" in inspect.signature(statistic).parameters
            assert method.least_samples == (2 if compares else 1), method.name


def test_the_package_has_the_loss_of_every_method():
    for method in methods():
        loss = method.load_loss()
        assert getattr(losses, loss.__name__) is loss
        assert loss.__name__ in losses.__all__
    assert losses.ptx_loss is ptx_loss


@pytest.mark.parametrize("reduction", ["sum", "sequence", "token", "dr_grpo"])
def test_a_response_without_a_token_spoils_no_update(reduction):
    mask = torch.cat([MASK, torch.zeros_like(MASK[:1])])
    policy = torch.randn(3, 3, dtype=torch.float64).requires_grad_()
    zeros, ones = torch.zeros(3, 3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    found = rloo_loss(policy, zeros, ones, mask, objective="sequence_clip").losses
    loss = mean(found, mask, reduction)
    loss.backward()
    assert loss.isfinite()
    assert policy.grad.isfinite().all()
    assert not policy.grad[2].any()


def test_names_that_are_not_known_are_refused():
    x = noise(1)
    with pytest.raises(ValueError, match="'reinforced' is not known"):
        rloo_loss(x, x, x, MASK, objective="reinforced")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'seq' is not known"):
        clipped_surrogate(x, x, x, MASK, 0.2, 0.2, level="seq")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'seq' is not known"):
        sampler_weights(x, x, MASK, level="seq")  # type: ignore[arg-type]


def test_returns_of_live_values_are_constants():
    values = noise(1).requires_grad_()
    fits = [value_loss(values, noise(2), returns, MASK, clip_range=0.0).sum()
            for returns in (2 * values, (2 * values).detach())]  # fmt: skip
    found, wanted = (torch.autograd.grad(fit, values)[0] for fit in fits)
    torch.testing.assert_close(found, wanted)
