from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.alignment.batches import BatchPlan, collate, passes, tokens_of, with_mismatched
from training.alignment.config import TrainingConfig
from training.alignment.data import DataError
from training.alignment.options import describe_options
from training.alignment.tokenization import Example, TokenSequence

sizes = st.integers(1, 9)


def sequence(prompt, completion):
    return TokenSequence(np.array(prompt, np.int32), np.array(completion, np.int32))


def answer(number, prompt):
    roles = {"completion": sequence([prompt], [100 + number] * 3)}
    return Example(str(number), str(number), str(prompt), "p", roles, 1.0, 1.0)


@given(st.integers(1, 40), sizes, sizes, sizes, st.integers(0, 3))
def test_every_pass_sees_every_example_once(examples, batch, accumulation, processes, seed):
    plan = BatchPlan(examples, batch, accumulation, processes, seed)
    steps = plan.total_steps(2.0, None)
    seen = [index for step in range(steps) for index in plan.step_indices(step)]
    assert len(seen) == steps * plan.global_batch
    assert set(Counter(seen[: 2 * examples]).values()) == {2}


@given(sizes, sizes, sizes)
def test_processes_share_a_step_without_overlap(batch, accumulation, processes):
    plan = BatchPlan(1000, batch, accumulation, processes, 0)
    indices, lengths = plan.step_indices(3), list(range(1000))
    shares = [plan.micro_batches(indices, lengths, rank) for rank in range(processes)]
    assert all(len(share) == accumulation for share in shares)
    assert all(len(micro) == batch for share in shares for micro in share)
    assert Counter(i for share in shares for micro in share for i in micro) == Counter(indices)


def test_steps_follow_epochs_and_the_limit():
    plan = BatchPlan(10, 2, 2, 1, 0)
    assert plan.total_steps(1.0, None) == 3
    assert plan.total_steps(0.1, None) == 1
    assert plan.total_steps(5.0, 4) == 4


def test_a_step_is_full_and_passes_tell_how_often_that_takes_an_example():
    """One epoch of ten in steps of sixteen takes six of them twice."""
    plan = BatchPlan(10, 4, 4, 1, 0)
    assert plan.total_steps(1.0, None) == 1
    assert sorted(Counter(plan.step_indices(0)).values()) == [1] * 4 + [2] * 6
    assert plan.passes(1) == 1.6
    (epochs,) = (one for one in describe_options(TrainingConfig) if one.name == "epochs")
    assert "rounded up to whole steps" in epochs.help


def test_another_seed_is_another_order():
    orders = {tuple(BatchPlan(50, 5, 1, 1, seed).step_indices(0)) for seed in range(3)}
    assert len(orders) == 3


def test_sequences_are_padded_on_the_right():
    batch = collate([sequence([1, 2], [3]), sequence([4], [5, 6, 7])], torch.device("cpu"))
    assert batch.input_ids.tolist() == [[1, 2, 3, 0], [4, 5, 6, 7]]
    assert batch.completion_mask.int().tolist() == [[0, 0, 1, 0], [0, 1, 1, 1]]


def test_a_mismatched_completion_answers_another_prompt_and_keeps_the_order():
    examples = [answer(number, number // 2) for number in range(10)]
    matched = with_mismatched(examples, seed=0, max_length=3)
    assert [example.id for example in matched] == [example.id for example in examples]
    for number, example in enumerate(matched):
        mismatched = example.sequences["mismatched"]
        assert list(mismatched.prompt) == [number // 2]
        assert (mismatched.completion[0] - 100) // 2 != number // 2
        assert len(mismatched) == 3


def test_one_prompt_alone_has_no_mismatched_completion():
    with pytest.raises(DataError, match="two different prompts"):
        with_mismatched([answer(0, 0), answer(1, 0)], seed=0, max_length=9)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 100))
def test_passes_keep_to_their_limit_and_leave_nothing_out(tokens, limit):
    parts = passes(tokens, limit)
    assert [place for part in parts for place in range(len(tokens))[part]] == [*range(len(tokens))]
    assert all(sum(tokens[part]) <= limit or len(tokens[part]) == 1 for part in parts)
    # None could have taken the next example, too.
    assert all(sum(tokens[one]) + tokens[other.start] > limit for one, other in pairwise(parts))


def test_the_tokens_of_an_example_count_its_prompt_once():
    roles = {"chosen": sequence([1, 2, 3], [4, 5]), "rejected": sequence([1, 2, 3], [6])}
    example = Example("1", "1", "1", "p", roles, 1.0, 1.0)
    assert tokens_of([example]) == [6]
