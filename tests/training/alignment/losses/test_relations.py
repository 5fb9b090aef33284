"""How the losses of one family relate: what becomes what, and where a loss is smallest."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from training.alignment import losses
from training.alignment.losses.reference_free import log1mexp


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pairs(*, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [-10 * torch.rand(50, generator=generator, dtype=torch.float64) for _ in range(4)]


LENGTHS = (torch.full((50,), 7.0), torch.full((50,), 3.0))
BY_SIDE = {"chosen_lengths": LENGTHS[0], "rejected_lengths": LENGTHS[1]}
DPO = losses.dpo_loss(*pairs(), beta=0.3).losses


@pytest.mark.parametrize(
    "same",
    [
        lambda: losses.cdpo_loss(*pairs(), beta=0.3, epsilon=0.0),
        lambda: losses.robust_dpo_loss(*pairs(), beta=0.3, epsilon=0.0),
        lambda: losses.dpop_loss(*pairs(), beta=0.3, penalty_weight=0.0),
        lambda: losses.r_dpo_loss(*pairs(), **BY_SIDE, beta=0.3, alpha=0.0),
        lambda: losses.gpo_loss(*pairs(), beta=0.3, convex_function="logistic"),
        lambda: losses.f_dpo_loss(*pairs(), beta=0.3, divergence="reverse_kl"),
        lambda: losses.beta_dpo_loss(*pairs(), step_beta=torch.tensor(0.3, dtype=torch.float64)),
        lambda: losses.plackett_luce_loss(
            torch.stack(pairs()[:2], dim=1),
            torch.stack(pairs()[2:], dim=1),
            list_ranks=torch.tensor([[1, 2]]).expand(50, 2),
            beta=0.3,
        ),
    ],
)
def test_what_becomes_dpo(same):
    torch.testing.assert_close(same().losses, DPO)


def test_a_small_alpha_is_nearly_the_reverse_kl():
    output = losses.f_dpo_loss(*pairs(), beta=0.3, divergence="alpha", alpha=1e-6)
    torch.testing.assert_close(output.losses, DPO, rtol=1e-3, atol=1e-3)


def test_the_squared_function_is_ipo():
    squared = losses.gpo_loss(*pairs(), beta=0.3, convex_function="squared").losses
    ipo = losses.ipo_loss(*pairs(), tau=0.15).losses
    torch.testing.assert_close(squared, 0.3**2 * ipo)


def test_averaged_ipo_is_ipo_of_averages():
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    averaged = losses.ipo_loss(*pairs(), **BY_SIDE, tau=0.2, normalisation="averaged").losses
    summed = losses.ipo_loss(
        chosen / 7, rejected / 3, ref_chosen / 7, ref_rejected / 3, tau=0.2
    ).losses
    torch.testing.assert_close(averaged, summed)


def test_averaged_dpo_is_dpo_of_averages():
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    averaged = losses.dpo_loss(*pairs(), **BY_SIDE, beta=5.0, normalisation="averaged").losses
    summed = losses.dpo_loss(
        chosen / 7, rejected / 3, ref_chosen / 7, ref_rejected / 3, beta=5.0
    ).losses
    torch.testing.assert_close(averaged, summed)
    for call in (partial(losses.dpo_loss, beta=5.0), partial(losses.ipo_loss, tau=0.2)):
        with pytest.raises(ValueError, match="averaged needs chosen_lengths"):
            call(*pairs(), normalisation="averaged")


@pytest.mark.parametrize("text", [False, True])
def test_the_mean_of_a_batch_is_one_over_all_its_tokens(text):
    chosen, rejected, prompt, _ = pairs()
    tokens = torch.arange(1.0, 51.0, dtype=torch.float64)
    arguments = {
        "policy_chosen_logps": chosen,
        "policy_rejected_logps": rejected,
        "chosen_lengths": tokens,
        "rejected_lengths": LENGTHS[1],
        "nll": "batch_token_mean",
    }
    total = chosen.sum()
    if text:
        tokens, total = tokens + 4.0, total + prompt.sum()
        arguments |= {"policy_text_logps": chosen + prompt, "text_lengths": tokens}
    mean = {"step_tokens": tokens.mean()}
    orpo = losses.orpo_loss(**arguments, **mean, odds_ratio_weight=0.0).losses
    torch.testing.assert_close(orpo.mean(), -total / tokens.sum())
    if not text:
        one, none = (
            losses.cpo_loss(**arguments, **mean, beta=0.1, nll_weight=weight).losses
            for weight in (1.0, 0.0)
        )
        torch.testing.assert_close((one - none).mean(), -total / tokens.sum())
    with pytest.raises(ValueError, match="needs step_tokens"):
        losses.orpo_loss(**arguments, odds_ratio_weight=0.0)


def test_conservative_dpo_is_smallest_where_the_model_believes_the_noise():
    margins = torch.linspace(-60, 60, 12001, dtype=torch.float64)
    zeros = torch.zeros_like(margins)
    values = losses.cdpo_loss(margins, zeros, zeros, zeros, beta=0.1, epsilon=0.2).losses
    assert torch.sigmoid(0.1 * margins[values.argmin()]).item() == pytest.approx(0.8, abs=1e-3)


def test_robust_dpo_is_dpo_on_average_over_the_flips():
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    right = losses.robust_dpo_loss(*pairs(), beta=0.3, epsilon=0.3).losses
    flipped = losses.robust_dpo_loss(
        rejected, chosen, ref_rejected, ref_chosen, beta=0.3, epsilon=0.3
    ).losses
    torch.testing.assert_close(0.7 * right + 0.3 * flipped, DPO)


def test_the_penalty_acts_only_on_a_chosen_answer_that_fell():
    risen = losses.dpop_loss(*(double(v) for v in (-1, -5, -2, -3)), beta=0.3, penalty_weight=50)
    plain = losses.dpo_loss(*(double(v) for v in (-1, -5, -2, -3)), beta=0.3)
    assert risen.losses.item() == plain.losses.item()
    fallen = double(-3.0).requires_grad_()
    losses.dpop_loss(
        fallen, *(double(v) for v in (-5, -2, -3)), beta=0.3, penalty_weight=50
    ).losses.backward()
    sigmoid = torch.sigmoid(double(-0.3 * (1 - 50)))
    assert fallen.grad.item() == pytest.approx(-0.3 * 51 * sigmoid.item())


def test_a_longer_winner_starts_ahead():
    same = [double(-5.0, -5.0)] * 4
    lengths = {"chosen_lengths": double(40, 25), "rejected_lengths": double(25, 40)}
    output = losses.r_dpo_loss(*same, **lengths, beta=0.1, alpha=0.01)
    assert output.losses[0] < math.log(2) < output.losses[1]


def test_the_anchor_is_the_mean_likelihood_of_the_chosen_answer():
    anchored = losses.dpo_loss(*pairs(), chosen_lengths=LENGTHS[0], beta=0.3, nll_weight=0.5)
    torch.testing.assert_close(anchored.losses - DPO, -0.5 * pairs()[0] / 7)
    with pytest.raises(ValueError, match="needs chosen_lengths"):
        losses.dpo_loss(*pairs(), beta=0.3, nll_weight=0.5)


def test_the_anchor_of_a_soft_label_holds_both_answers_by_their_probability():
    soft = partial(losses.dpo_loss, *pairs(), beta=0.3)
    soft = partial(soft, target_probabilities=torch.full_like(pairs()[0], 0.8))
    gained = soft(**BY_SIDE, nll_weight=0.5).losses - soft().losses
    expected = -0.5 * (0.8 * pairs()[0] / LENGTHS[0] + 0.2 * pairs()[1] / LENGTHS[1])
    torch.testing.assert_close(gained, expected)
    with pytest.raises(ValueError, match="needs rejected_lengths"):
        soft(chosen_lengths=LENGTHS[0], nll_weight=0.5)


def test_a_tie_of_two_is_pulled_together_as_a_soft_label_of_one_half():
    policy = torch.stack(pairs()[:2], dim=1)
    reference = torch.stack(pairs()[2:], dim=1)
    tied = losses.plackett_luce_loss(
        policy,
        reference,
        list_ranks=torch.ones(50, 2, dtype=torch.long),
        beta=0.3,
        ties="pulled_together",
    ).losses
    target = torch.full((50,), 0.5, dtype=torch.float64)
    half = losses.dpo_loss(*pairs(), target_probabilities=target, beta=0.3).losses
    torch.testing.assert_close(tied, 2 * half)


def test_a_certain_soft_label_and_a_list_of_two_are_bradley_terry():
    chosen, rejected = pairs()[:2]
    plain = losses.bradley_terry_loss(chosen, rejected).losses
    certain = torch.ones_like(chosen)
    soft = losses.soft_label_reward_loss(chosen, rejected, target_probabilities=certain).losses
    listed = losses.all_pairs_loss(
        torch.stack([chosen, rejected], dim=1), list_ranks=torch.tensor([[1, 2]]).expand(50, 2)
    ).losses
    torch.testing.assert_close(soft, plain)
    torch.testing.assert_close(listed, plain)


@pytest.mark.parametrize(
    ("values", "exact"),
    [
        (-1e-12, math.log(1e-12)),
        (-1e-3, math.log(-math.expm1(-1e-3))),
        (-5.0, math.log1p(-math.exp(-5.0))),
        (-800.0, 0.0),
    ],
)
def test_log1mexp_keeps_its_digits(values, exact):
    tensor = double(values).requires_grad_()
    result = log1mexp(tensor)
    result.backward()
    assert result.item() == pytest.approx(exact, rel=1e-12, abs=1e-300)
    assert tensor.grad.item() == pytest.approx(math.exp(values) / math.expm1(values), rel=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.ipo_loss(*pairs(), **BY_SIDE, tau=0.1, normalisation="mean"),
        lambda: losses.dpo_loss(*pairs(), beta=0.1, normalisation="mean"),
        lambda: losses.gpo_loss(*pairs(), beta=0.1, convex_function="cubic"),
        lambda: losses.f_dpo_loss(*pairs(), beta=0.1, divergence="tv"),
        lambda: losses.cpo_loss(*pairs()[:2], **BY_SIDE, beta=1, nll_weight=1, nll="mean"),
        lambda: losses.orpo_loss(*pairs()[:2], **BY_SIDE, odds_ratio_weight=1, nll="summed"),
        lambda: losses.plackett_luce_loss(
            *[torch.zeros(2, 2)] * 2,
            list_ranks=torch.ones(2, 2, dtype=torch.long),
            beta=1,
            ties="efron",
        ),
        lambda: losses.beta_dpo_loss(*pairs(), step_beta=torch.zeros(50)),
    ],
)
def test_an_unknown_convention_is_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()


@pytest.mark.parametrize(
    ("loss", "power"), [("dpo_loss", 1), ("cdpo_loss", 2), ("robust_dpo_loss", 0)]
)
def test_flipped_labels_draw_each_optimum_to_one_half_as_its_page_says(loss, power):
    true, epsilon, beta = 0.8, 0.2, 0.5
    chance = 0.5 + (1 - 2 * epsilon) ** power * (true - 0.5)
    margin = torch.tensor([math.log(chance / (1 - chance)) / beta], dtype=torch.float64)
    margin.requires_grad_()
    nothing = torch.zeros_like(margin)
    options = {"beta": beta} | ({} if loss == "dpo_loss" else {"epsilon": epsilon})
    function = getattr(losses, loss)
    right = function(margin, nothing, nothing, nothing, **options).losses
    wrong = function(nothing, margin, nothing, nothing, **options).losses
    seen = (1 - epsilon) * true + epsilon * (1 - true)
    (gradient,) = torch.autograd.grad((seen * right + (1 - seen) * wrong).sum(), margin)
    assert gradient.item() == pytest.approx(0.0, abs=1e-12)
