"""Losses of ranked lists: order of the file, padding, ties."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.alignment.losses import all_pairs_loss, plackett_luce_loss


def all_pairs(scores: torch.Tensor, ranks: torch.Tensor) -> Any:
    return all_pairs_loss(scores, list_ranks=ranks)


def left_out(scores: torch.Tensor, ranks: torch.Tensor) -> Any:
    return plackett_luce_loss(scores, torch.zeros_like(scores), list_ranks=ranks, beta=0.7)


def pulled_together(scores: torch.Tensor, ranks: torch.Tensor) -> Any:
    reference = torch.zeros_like(scores)
    return plackett_luce_loss(scores, reference, list_ranks=ranks, beta=0.7, ties="pulled_together")


every_loss = pytest.mark.parametrize("loss", [all_pairs, left_out, pulled_together])
entries = st.lists(st.tuples(st.floats(-20, 20), st.integers(1, 4)), min_size=2, max_size=6)


def as_list(rows: list[tuple[float, int]]) -> tuple[Any, torch.Tensor]:
    scores = torch.tensor([[score for score, _ in rows]], dtype=torch.float64)
    return scores, torch.tensor([[rank for _, rank in rows]])


@every_loss
@given(entries, st.randoms())
def test_the_order_in_the_file_does_not_matter(loss, rows, random):
    shuffled = random.sample(rows, len(rows))
    one, two = loss(*as_list(rows)).losses, loss(*as_list(shuffled)).losses
    assert one.item() == pytest.approx(two.item(), abs=1e-9)


@every_loss
@given(entries, st.floats(-1e4, 1e4))
def test_padding_does_not_matter(loss, rows, rubbish):
    padded = loss(*as_list([*rows, (rubbish, 0), (0.0, 0)]))
    assert padded.losses.item() == pytest.approx(loss(*as_list(rows)).losses.item(), abs=1e-9)
    assert padded.list_rewards[0, -2:].tolist() == [0.0, 0.0]


@every_loss
@given(entries, st.integers(2, 5))
def test_only_the_order_of_ranks_matters(loss, rows, factor):
    spread = [(score, rank * factor) for score, rank in rows]
    assert loss(*as_list(spread)).losses.item() == pytest.approx(
        loss(*as_list(rows)).losses.item(), abs=1e-9
    )


@every_loss
def test_nothing_flows_to_padding(loss):
    scores, ranks = as_list([(1.0, 1), (2.0, 2), (5.0, 0)])
    scores.requires_grad_()
    loss(scores, ranks).losses.backward()
    assert scores.grad[0, 2] == 0.0
    assert scores.grad[0, 0] < 0.0 < scores.grad[0, 1]


@pytest.mark.parametrize("loss", [all_pairs, left_out])
def test_a_list_of_ties_teaches_nothing(loss):
    scores, ranks = as_list([(1.0, 2), (2.0, 2), (5.0, 2)])
    scores.requires_grad_()
    losses = loss(scores, ranks).losses
    losses.backward()
    assert losses.item() == 0.0
    assert scores.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_ties_can_be_drawn_towards_equality():
    scores, ranks = as_list([(1.0, 1), (2.0, 1)])
    scores.requires_grad_()
    pulled_together(scores, ranks).losses.backward()
    assert scores.grad[0, 0] < 0.0 < scores.grad[0, 1]


def test_the_loss_is_the_log_of_the_rankings_probability():
    """Over all orders the probabilities sum to 1, and the likeliest is the order of rewards."""
    scores = [0.3, -1.1, 2.0, 0.9]
    probabilities = {}
    for order in itertools.permutations(range(1, 5)):
        loss = left_out(*as_list(list(zip(scores, order, strict=True)))).losses
        probabilities[order] = math.exp(-loss.item())
    assert sum(probabilities.values()) == pytest.approx(1.0)
    assert max(probabilities, key=lambda order: probabilities[order]) == (3, 4, 1, 2)


def test_all_pairs_is_the_mean_over_ordered_pairs():
    scores, ranks = [0.3, -1.1, 2.0, 0.9], [1, 2, 2, 3]
    pairs = [
        math.log1p(math.exp(scores[j] - scores[i]))
        for i, j in itertools.product(range(4), repeat=2)
        if ranks[i] < ranks[j]
    ]
    loss = all_pairs(*as_list(list(zip(scores, ranks, strict=True)))).losses
    assert loss.item() == pytest.approx(sum(pairs) / 5)
