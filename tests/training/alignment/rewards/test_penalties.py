from dataclasses import replace

import numpy as np
import pytest

from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.rewards.penalties import FormatPenalty, LengthPenalty, MissingEndPenalty
from training.alignment.rewards.protocol import RewardError


def test_the_length_penalty_falls_in_a_line_between_free_and_limit():
    # One token a letter and one for the end of the turn.
    answers = [rollout("a" * (length - 1)) for length in (1, 10, 12, 15, 20, 30)]
    rewards = LengthPenalty(free=10, limit=20)(answers)
    np.testing.assert_allclose(rewards, [0.0, 0.0, -0.2, -0.5, -1.0, -1.0])


def test_the_format_penalty_matches_the_whole_text():
    penalty = FormatPenalty(pattern=r"<think>.*</think>\s*\S+.*")
    answers = ["<think>a\nb</think> yes", "yes", "<think>x</think>", "so <think>x</think> y"]
    np.testing.assert_array_equal(penalty([rollout(text) for text in answers]), [0, -1, -1, -1])


def test_an_expression_that_takes_too_long_costs_its_answer_alone():
    """Each further a doubles the time of the second: without a limit a step would never end."""
    penalty = FormatPenalty(pattern=r"(a+)+b", time_limit=0.5)
    answers = [rollout(text) for text in ("aab", "a" * 60, "ab", "c")]
    np.testing.assert_array_equal(penalty(answers), [0, -1, 0, -1])
    assert penalty.timed_out is not None
    assert penalty.timed_out.tolist() == [0, 1, 0, 0]


def test_an_answer_that_was_cut_costs_the_missing_end():
    answers = [rollout("a"), replace(rollout("b"), finish_reason="length")]
    np.testing.assert_array_equal(MissingEndPenalty(penalty=0.4)(answers), [0.0, -0.4])


@pytest.mark.parametrize(("free", "limit"), [(5, 5), (6, 5), (-1, 5)])
def test_a_limit_below_what_is_free_is_refused(free, limit):
    with pytest.raises(RewardError, match="fewer than the limit"):
        LengthPenalty(free=free, limit=limit)


def test_a_broken_expression_is_refused():
    with pytest.raises(RewardError, match="no regular expression"):
        FormatPenalty(pattern="(")
