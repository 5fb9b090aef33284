"""KTO's answers to other prompts (complaint 21), and turns that are only read."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.alignment import tiny
from training.alignment.batches import collate, with_mismatched
from training.alignment.log_probs import CompletionScorer, sequence_log_probs
from training.alignment.scoring import score_sequences
from training.alignment.tokenization import Example, TokenSequence

CPU = torch.device("cpu")


def ids(*values: int) -> np.ndarray:
    return np.asarray(values, dtype=np.int32)


def answers(prompts: list[int]) -> list[Example]:
    """One answer a prompt, each of its own token."""
    return [
        Example(
            str(place),
            str(place),
            f"prompt {prompt}",
            "",
            {"completion": TokenSequence(ids(prompt), ids(100 + place, 100 + place))},
            1.0,
            1.0,
        )
        for place, prompt in enumerate(prompts)
    ]


@given(st.lists(st.integers(1, 4), min_size=2, max_size=15), st.integers(0, 5))
def test_21_no_answer_is_held_against_its_own_prompt(prompts, seed):
    """trl#1911: reversing a batch of odd size paired its middle with itself; #2554: size one."""
    if len(set(prompts)) == 1:
        prompts = [*prompts, prompts[0] + 1]
    examples = answers(prompts)
    matched = with_mismatched(examples, seed=seed, max_length=3)
    owners = {100 + place: prompt for place, prompt in enumerate(prompts)}
    for prompt, example in zip(prompts, matched, strict=True):
        pair = example.sequences["mismatched"]
        assert list(pair.prompt) == [prompt]
        assert owners[int(pair.completion[0])] != prompt


def test_21_pairs_do_not_depend_on_how_a_step_is_split():
    """trl#2153, #1380: they are drawn once, from all examples, by the seed alone."""
    examples = answers([1, 2, 3, 4, 5])
    first, again = (with_mismatched(examples, seed=7, max_length=9) for _ in range(2))
    other = with_mismatched(examples, seed=8, max_length=9)
    drawn = [
        [int(one.sequences["mismatched"].completion[0]) for one in every]
        for every in (first, again, other)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == [100, 101, 102, 103, 104]


def with_context() -> list[TokenSequence]:
    """Two answers to one prompt: one with a user's words (5, 6) between its turns."""
    context = np.array([False, True, True, False])
    return [
        TokenSequence(ids(1, 2, 3), ids(4, 5, 6, 7), context),
        TokenSequence(ids(1, 2, 3), ids(8, 9)),
    ]


def test_what_others_said_is_read_and_not_scored():
    scorer = CompletionScorer(tiny.llama())
    batch = collate(with_context(), CPU)
    given_ids = batch.input_ids
    with torch.no_grad():
        logits = scorer.model(given_ids).logits.log_softmax(-1)
    expected = [
        sum(float(logits[row, place - 1, given_ids[row, place]]) for place in places)
        for row, places in enumerate([(3, 6), (3, 4)])
    ]
    plain = sequence_log_probs(scorer(*batch), batch.completion_mask)
    assert plain.tolist() == pytest.approx(expected, abs=1e-4)
    assert score_sequences(scorer, with_context(), CPU).tolist() == pytest.approx(
        plain.tolist(), abs=1e-4
    )


def test_nothing_is_learnt_of_what_others_said():
    """The gradient is that of the model's own tokens: their words may be any, if they come last."""
    scorer = CompletionScorer(tiny.llama())
    context = np.array([False, True])
    grads = []
    for word in (5, 6):
        scorer.zero_grad()
        one = TokenSequence(ids(1, 2), ids(4, word), context)
        score_sequences(scorer, [one], CPU).sum().backward()
        grads.append(scorer.model.model.layers[0].mlp.up_proj.weight.grad.clone())
    assert torch.allclose(grads[0], grads[1], atol=1e-7)
    assert grads[0].abs().max() > 0


def test_a_mismatched_answer_keeps_what_of_it_is_only_read():
    examples = answers([1, 2])
    turns = TokenSequence(ids(2), ids(4, 5, 6, 7), np.array([False, True, True, False]))
    examples[1] = Example("1", "1", "prompt 2", "", {"completion": turns}, 1.0, 1.0)
    matched = with_mismatched(examples, seed=0, max_length=4)
    assert matched[0].sequences["mismatched"].context.tolist() == [False, True, True]
