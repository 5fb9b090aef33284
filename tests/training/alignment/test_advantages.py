import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.alignment.advantages import (
    explained_variance,
    generalized_advantages,
    group_normalized,
    grpo_advantages,
    leave_one_out,
    ppo_advantages,
    reinforce_advantages,
    rloo_advantages,
    token_rewards,
    whiten,
    zero_variance_share,
)

VECTORS = {
    entry["name"]: entry
    for entry in json.loads(
        (Path(__file__).parents[2] / "data" / "objective_vectors.json").read_text("utf-8")
    )
}
LENGTHS = (5, 2, 4)
MASK = torch.arange(5)[None, :] < torch.tensor(LENGTHS)[:, None]


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def noise(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=MASK.shape))


def whole(values: list[float]) -> tuple[Tensor, Tensor]:
    return double([values]), torch.ones(1, len(values), dtype=torch.bool)


def test_gae_gives_the_worked_values():
    vector = VECTORS["gae"]
    rewards, mask = whole(vector["inputs"]["rewards"])
    values, _ = whole(vector["inputs"]["values"])
    found = generalized_advantages(rewards, values, mask, gamma=1.0, lam=0.95)
    assert found.advantages[0].tolist() == pytest.approx(vector["expected"]["advantages"])
    assert found.returns[0].tolist() == pytest.approx(vector["expected"]["returns"])


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (0.99, 0.0), (0.97, 1.0)])
def test_gae_is_the_weighted_sum_of_n_step_advantages(gamma, lam):
    """Eq. 16 written out: a double sum, not the recursion."""
    rewards, values = noise(1), noise(2)
    found = generalized_advantages(rewards, values, MASK, gamma=gamma, lam=lam)
    for row, length in enumerate(LENGTHS):
        r, v = rewards[row, :length].numpy(), [*values[row, :length].tolist(), 0.0]
        deltas = [r[t] + gamma * v[t + 1] - v[t] for t in range(length)]
        expected = [
            sum((gamma * lam) ** (u - t) * deltas[u] for u in range(t, length))
            for t in range(length)
        ]
        assert found.advantages[row, :length].tolist() == pytest.approx(expected)
        assert not found.advantages[row, length:].any()
        assert not found.returns[row, length:].any()


def test_what_stands_at_padding_changes_nothing():
    tensors = [noise(seed) for seed in (1, 2)]
    dirty = [tensor.masked_fill(~MASK, 1e9) for tensor in tensors]
    for function in (
        lambda r, v: generalized_advantages(r, v, MASK, gamma=0.9, lam=0.9).advantages,
        lambda r, v: whiten(r, MASK),
        lambda r, v: token_rewards(r, v, double([1, 2, 3]), MASK, kl_coefficient=0.1),
    ):
        assert torch.equal(function(*tensors), function(*dirty))


def test_the_order_of_a_prompts_answers_does_not_matter():
    random = np.random.default_rng(0)
    rewards = torch.from_numpy(random.normal(size=12))
    order = np.concatenate([4 * group + random.permutation(4) for group in range(3)]).tolist()
    assert order != list(range(12))
    for function in (leave_one_out, group_normalized):
        torch.testing.assert_close(function(rewards[order], 4), function(rewards, 4)[order])


def test_token_rewards_give_the_worked_values():
    vector = VECTORS["ppo_token_rewards_k1"]
    logps, mask = whole(vector["inputs"]["logps"])
    reference, _ = whole(vector["inputs"]["ref_logps"])
    found = token_rewards(logps, reference, double([1.0]), mask, kl_coefficient=0.05)
    assert found[0].tolist() == pytest.approx(vector["expected"]["rewards"])


def test_the_score_stands_on_the_last_real_token_never_on_padding():
    zero = torch.zeros(MASK.shape, dtype=torch.float64)
    found = token_rewards(zero, zero, double([1.0, 2.0, 3.0]), MASK, kl_coefficient=0.05)
    assert [found[row, length - 1].item() for row, length in enumerate(LENGTHS)] == [1.0, 2.0, 3.0]
    assert found.sum().item() == 6.0


def test_whitening_leaves_mean_zero_and_variance_one_over_real_tokens():
    found = whiten(noise(1) * 7 + 3, MASK)
    assert found[MASK].mean().item() == pytest.approx(0.0, abs=1e-12)
    assert found[MASK].numpy().var() == pytest.approx(1.0)
    assert not found[~MASK].any()
    kept = whiten(noise(1) * 7 + 3, MASK, shift_mean=False)
    assert kept[MASK].mean().item() == pytest.approx((noise(1) * 7 + 3)[MASK].mean().item())


@pytest.mark.parametrize("value", [0.0, 10.1, 1000.1])
@pytest.mark.parametrize("shift_mean", [True, False])
def test_equal_values_whiten_to_nothing_whatever_rounds(value, shift_mean):
    found = whiten(torch.full(MASK.shape, value), MASK, shift_mean=shift_mean)
    assert found.dtype is torch.float32
    wanted = torch.full_like(found, 0.0 if shift_mean else value).masked_fill(~MASK, 0.0)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32, torch.float64])
def test_verdicts_may_be_whole_numbers(dtype):
    verdicts = torch.tensor([1, 0, 0, 1], dtype=dtype)
    others = leave_one_out(verdicts, 4)
    assert others.tolist() == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    grouped = group_normalized(verdicts, 4, epsilon=0.0)
    assert grouped.abs().tolist() == pytest.approx([math.sqrt(3) / 2] * 4)
    assert others.dtype is grouped.dtype
    assert others.dtype is (dtype if dtype.is_floating_point else torch.float32)


def test_a_scale_without_a_name_is_refused():
    with pytest.raises(ValueError, match="'group' is no scale"):
        group_normalized(double([1.0, 0.0]), 2, scale="group")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, 1), (2,), (1,)])
def test_a_score_belongs_to_each_answer(shape):
    scores, logps = torch.ones(shape), noise(1)
    with pytest.raises(ValueError, match="must be one a response"):
        token_rewards(logps, logps, scores, MASK, kl_coefficient=0.1)
    with pytest.raises(ValueError, match="must be one a response"):
        reinforce_advantages(scores, logps, logps, MASK, {}, beta=0.1)


def test_group_advantages_give_the_worked_values():
    rewards = double(VECTORS["grpo_advantage"]["inputs"]["rewards"])
    expected = VECTORS["grpo_advantage"]["expected"]
    assert group_normalized(rewards, 4).tolist() == pytest.approx(expected["advantages"])
    centred = group_normalized(rewards, 4, scale="none")
    assert centred.tolist() == pytest.approx(expected["dr_grpo"])
    expected = VECTORS["rloo_advantage"]["expected"]
    assert leave_one_out(rewards, 4).tolist() == pytest.approx(expected["advantages"])


def test_groups_do_not_see_each_other():
    rewards = torch.from_numpy(np.random.default_rng(0).normal(size=12))
    for function in (leave_one_out, group_normalized):
        together = function(rewards, 4)
        apart = torch.cat([function(part, 4) for part in rewards.split(4)])
        assert torch.allclose(together, apart)
        # Adding a constant to a prompt's rewards says nothing about its answers.
        shifted = rewards + torch.tensor([5.0, -3.0, 0.0]).double().repeat_interleave(4)
        assert torch.allclose(function(shifted, 4), together)


@pytest.mark.parametrize("reward", [1000.1, 0.1, -3.3, 1e6 / 3])
@pytest.mark.parametrize("count", [3, 7, 11])
def test_equal_rewards_give_no_advantage(reward, count):
    for rewards in (torch.full((count,), reward), double([reward] * count)):
        for found in (group_normalized(rewards, count), leave_one_out(rewards, count)):
            assert found.dtype == rewards.dtype
            assert not found.any()
        assert zero_variance_share(rewards, count) == 1.0


def test_one_answer_is_no_group():
    with pytest.raises(ValueError, match="two or more responses a prompt"):
        leave_one_out(double([1.0, 2.0]), 1)
    with pytest.raises(ValueError, match="not groups of 3"):
        group_normalized(double([1.0, 2.0]), 3)


def test_rloo_shapes_the_reward_by_the_kl_of_the_whole_answer():
    vector = VECTORS["rloo_loss"]
    mask = torch.ones(2, 2, dtype=torch.bool)
    logps, reference = (
        double(vector["inputs"][name])[:, None].expand(2, 2) / 2
        for name in ("logp_sums", "ref_logp_sums")
    )
    scores = double(vector["inputs"]["rewards"])
    found = rloo_advantages(scores, logps, reference, mask, 2, beta=0.05)["advantages"]
    assert found[:, 0].tolist() == pytest.approx(vector["expected"]["advantages"])
    assert torch.equal(found[:, 0], found[:, 1])


def test_reinforces_baseline_runs_over_the_steps_before():
    zero, mask = torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.bool)

    def step(scores: list[float], state: dict[str, float], baseline: str = "running"):
        return reinforce_advantages(
            double(scores), zero, zero, mask, state, beta=0.0, baseline=baseline,
            baseline_decay=0.9,
        )  # fmt: skip

    first = step([1.0, 3.0], {})
    assert first["advantages"][:, 0].tolist() == [-1.0, 1.0]
    assert first["state"] == {"baseline": 2.0}
    second = step([4.0, 6.0], first["state"])
    assert second["advantages"][:, 0].tolist() == [2.0, 4.0]
    assert second["state"]["baseline"] == pytest.approx(0.9 * 2.0 + 0.1 * 5.0)
    assert step([4.0, 6.0], {"baseline": 9.0}, "none")["advantages"][:, 0].tolist() == [4.0, 6.0]
    assert step([4.0, 6.0], {"baseline": 9.0}, "batch")["advantages"][:, 0].tolist() == [-1.0, 1.0]


def test_ppo_uses_the_coefficient_of_its_state_and_hands_on_the_next():
    old, reference, values = noise(1), noise(2), noise(3)
    scores = double([1.0, 2.0, 3.0])
    found = ppo_advantages(
        scores, old, reference, values, MASK, {"kl_coefficient": 0.4},
        kl_coefficient=0.05, kl_controller="schulman", kl_target=1e-6, whiten_advantages=False,
    )  # fmt: skip
    rewards = token_rewards(old, reference, scores, MASK, kl_coefficient=0.4)
    expected = generalized_advantages(rewards, values, MASK, gamma=1.0, lam=0.95)
    assert torch.equal(found["advantages"], expected.advantages)
    observed = ((old - reference) * MASK).sum(dim=1).mean()
    assert found["state"]["kl_coefficient"] == (0.8 if observed > 0 else 0.2)


def test_grpo_gives_one_advantage_to_all_tokens_of_an_answer():
    mask = MASK[:2]
    found = grpo_advantages(double([0.0, 2.0]), mask, 2, advantage_scale="none")["advantages"]
    assert found[0].tolist() == [-1.0] * 5
    assert found[1].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_figures_of_groups_and_values():
    assert zero_variance_share(double([1, 1, 0, 1, 2, 2]), 2) == pytest.approx(2 / 3)
    returns = noise(1)
    assert explained_variance(returns, returns, MASK) == pytest.approx(1.0)
    assert explained_variance(torch.zeros_like(returns), returns, MASK) == pytest.approx(0.0)
    assert explained_variance(returns, torch.ones_like(returns), MASK) == 0.0


def test_a_mask_with_holes_or_an_empty_answer_is_refused():
    holes = torch.tensor([[True, False, True]])
    with pytest.raises(ValueError, match="padded on the right"):
        whiten(torch.zeros(1, 3), holes)
    with pytest.raises(ValueError, match="at least one token"):
        whiten(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"rewards \(1, 3\) must be \(3, 5\)"):
        generalized_advantages(torch.zeros(1, 3), torch.zeros(3, 5), MASK, gamma=1.0, lam=1.0)
