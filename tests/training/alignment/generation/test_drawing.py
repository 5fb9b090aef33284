import numpy as np
import pytest
import torch

from training.alignment.generation.drawing import Uniforms, draw

LOGITS = torch.tensor([0.0, 1.0, 2.0, -torch.inf])


def many(logits, count=20_000, *, temperature=1.0, top_p=None, allowed=None):
    uniforms = torch.tensor([Uniforms(seed).next() for seed in range(count)], dtype=torch.float64)
    return draw(
        logits.repeat(count, 1),
        uniforms,
        torch.full((count,), temperature),
        None if top_p is None else torch.full((count,), top_p),
        None if allowed is None else allowed.repeat(count, 1),
    )


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_samples_follow_the_tempered_softmax(temperature):
    drawn = many(LOGITS, temperature=temperature)
    expected = (LOGITS / temperature).softmax(0)
    shares = np.bincount(drawn.tokens.numpy(), minlength=4) / len(drawn.tokens)
    np.testing.assert_allclose(shares, expected.numpy(), atol=0.015)
    torch.testing.assert_close(drawn.log_probs, expected.log()[drawn.tokens])
    torch.testing.assert_close(drawn.raw_log_probs, LOGITS.log_softmax(0)[drawn.tokens])


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    # Probabilities 0.5, 0.3, 0.2: the first two reach 0.6.
    logits = torch.tensor([0.3, 0.5, 0.2]).log()
    drawn = many(logits, top_p=0.6)
    assert set(drawn.tokens.tolist()) == {0, 1}
    expected = torch.tensor([0.375, 0.625, 0.0])
    shares = np.bincount(drawn.tokens.numpy(), minlength=3) / len(drawn.tokens)
    np.testing.assert_allclose(shares, expected.numpy(), atol=0.015)
    torch.testing.assert_close(drawn.log_probs, expected.log()[drawn.tokens])


def test_each_row_has_its_own_temperature_and_top_p():
    logits = torch.tensor([0.1, 0.2, 0.7]).log().repeat(3, 1)
    drawn = draw(
        logits,
        torch.tensor([0.05, 0.05, 0.05], dtype=torch.float64),
        torch.tensor([1.0, 0.0, 1.0]),
        torch.tensor([1.0, 1.0, 0.5]),
    )
    assert drawn.tokens.tolist() == [0, 2, 2]
    torch.testing.assert_close(drawn.log_probs, torch.tensor([0.1, 0.7, 1.0]).log())


def test_only_allowed_tokens_are_drawn():
    allowed = torch.tensor([True, False, True, False])
    drawn = many(LOGITS, 2000, allowed=allowed)
    assert set(drawn.tokens.tolist()) == {0, 2}
    greedy = many(LOGITS, 1, temperature=0.0, allowed=torch.tensor([True, True, False, False]))
    assert greedy.tokens.tolist() == [1]


def test_the_ends_of_the_unit_interval_draw_possible_tokens():
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).repeat(2, 1)
    uniforms = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert draw(logits, uniforms, torch.ones(2)).tokens.tolist() == [1, 2]


def test_a_stream_belongs_to_its_seed():
    first, again, other = Uniforms(1), Uniforms(1), Uniforms(2)
    drawn = [first.next() for _ in range(3)]
    assert drawn == [again.next() for _ in range(3)] != [other.next() for _ in range(3)]
