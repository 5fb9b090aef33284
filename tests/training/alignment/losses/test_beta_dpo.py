"""The statistic of β-DPO: what it keeps, what it remembers, and when."""

import pytest
import torch

from training.alignment.losses import beta_dpo_statistic
from training.alignment.losses.beta_dpo import SMALLEST_BETA, kept_pairs

OPTIONS = {"beta": 0.1, "alpha": 0.6, "momentum": 0.9, "keep_ratio": 0.8}


def statistic(gaps, state=None, **options):
    margins = torch.tensor(gaps, dtype=torch.float64)
    zeros = torch.zeros_like(margins)
    given = {"state": state or {}, **OPTIONS, **options}
    return beta_dpo_statistic(margins, zeros, zeros, zeros, **given)


def test_the_first_step_of_the_paper_starts_at_its_own_mean():
    result = statistic([1.0, 2.0, 3.0, 4.0], keep_ratio=1.0)
    assert result["step_beta"].item() == pytest.approx(0.1)
    assert result["keep"].tolist() == [1, 1, 1, 1]
    assert result["state"]["mean"] == pytest.approx(0.25)
    assert result["state"]["steps"] == 1.0


def test_the_paper_compares_with_the_mean_before_this_step():
    before = {"mean": 0.05, "deviation": 0.1, "steps": 7.0}
    result = statistic([1.5, -0.5, 2.5, 0.5], before, keep_ratio=1.0)
    assert result["step_beta"].item() == pytest.approx(0.103)
    assert result["state"]["mean"] == pytest.approx(0.9 * 0.05 + 0.1 * 0.1)
    assert result["state"]["steps"] == 8.0
    assert before == {"mean": 0.05, "deviation": 0.1, "steps": 7.0}


def test_the_authors_code_compares_with_the_mean_after_this_step():
    result = statistic([1.5, -0.5, 2.5, 0.5], keep_ratio=1.0, convention="code")
    assert result["state"]["mean"] == pytest.approx(0.1)
    assert result["step_beta"].item() == pytest.approx(0.1 * (1 + 0.6 * (1.0 - 0.1)))


def test_a_step_that_is_far_below_keeps_beta_positive():
    before = {"mean": 100.0, "deviation": 1.0, "steps": 3.0}
    assert statistic([-50.0, -60.0], before)["step_beta"].item() == SMALLEST_BETA


def test_an_outlier_is_left_out():
    state = {"mean": 0.0, "deviation": 1.0, "steps": 1.0}
    keep = kept_pairs(torch.tensor([0.1, -0.2, 300.0, 0.3, 0.0]), state, 0.8, step=1)
    assert keep.tolist() == [1, 1, 0, 1, 1]


def test_pairs_are_drawn_by_their_weights():
    """Two of three, weights 1, 1 and exp(-2): the third is kept as often as theory says."""
    gaps = torch.tensor([0.0, 0.0, 2.0])
    kept = [
        kept_pairs(gaps, {"mean": 0.0, "deviation": 1.0}, 2 / 3, step=step) for step in range(4000)
    ]
    w = 0.1353352832
    last = w / (2 + w) + 2 * (1 / (2 + w)) * (w / (1 + w))
    assert torch.stack(kept)[:, 2].mean().item() == pytest.approx(last, abs=0.02)


def test_the_same_step_draws_the_same_pairs():
    gaps = torch.randn(64, generator=torch.Generator().manual_seed(0))
    state = {"mean": 0.0, "deviation": 1.0, "steps": 5.0}
    first = kept_pairs(gaps, state, 0.5, step=6)
    assert torch.equal(first, kept_pairs(gaps, state, 0.5, step=6))
    assert first.sum() == 32
    assert not torch.equal(first, kept_pairs(gaps, state, 0.5, step=7))


def test_no_two_steps_draw_by_the_same_noise():
    state, drawn = {}, []
    for _ in range(3):
        result = statistic([1.0] * 64, state, keep_ratio=0.5)
        state = result["state"]
        drawn.append(tuple(result["keep"].tolist()))
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("convention", ["paper", "code"])
def test_swapping_the_sides_turns_the_change_of_beta_round(convention):
    gaps, before = [1.5, -0.4, 2.6, 0.9], {"mean": 0.05, "deviation": 0.1, "steps": 7.0}
    one = statistic(gaps, before, convention=convention)
    turned = {**before, "mean": -before["mean"]}
    two = statistic([-gap for gap in gaps], turned, convention=convention)
    assert torch.equal(one["keep"], two["keep"])
    assert one["step_beta"].item() != pytest.approx(OPTIONS["beta"])
    assert (one["step_beta"] + two["step_beta"]).item() == pytest.approx(2 * OPTIONS["beta"])
    assert two["state"]["mean"] == pytest.approx(-one["state"]["mean"])
    assert two["state"]["deviation"] == pytest.approx(one["state"]["deviation"])


@pytest.mark.parametrize("gaps", [[3.0], [2.0, 2.0, 2.0], [1e4, -1e4]])
def test_steps_without_spread_and_with_too_much_stay_finite(gaps):
    for convention in ("paper", "code"):
        result = statistic(gaps, convention=convention)
        assert result["step_beta"].isfinite()
        assert result["keep"].sum() >= 1


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="must be paper or code"):
        statistic([1.0, 2.0], convention="trl")
