import numpy as np
import pytest

from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.rewards.composed import Composed
from training.alignment.rewards.protocol import RewardError, RewardSource


class Source:
    def __init__(self, name, reward):
        self.name, self.reward = name, reward

    def __call__(self, rollouts):
        return self.reward(rollouts)


LENGTH = Source("length", lambda rollouts: [len(item.text) for item in rollouts])
ONE = Source("one", lambda rollouts: np.ones(len(rollouts)))
ANSWERS = [rollout("a"), rollout("bcd")]


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted():
    composed = Composed([LENGTH, ONE], [2.0, -0.5])
    scores = composed.score(ANSWERS)
    np.testing.assert_array_equal(scores.total, [1.5, 5.5])
    np.testing.assert_array_equal(composed(ANSWERS), [1.5, 5.5])
    assert {name: list(part) for name, part in scores.parts.items()} == {
        "length": [1.0, 3.0],
        "one": [1.0, 1.0],
    }
    assert isinstance(composed, RewardSource)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda rollouts: 1 / 0, "source 'bad' failed with ZeroDivisionError: division by zero"),
        (lambda rollouts: [1.0], "source 'bad' returned .* for 2 answers"),
        (lambda rollouts: [1.0, float("nan")], "source 'bad' returned nan for answer 1"),
        (lambda rollouts: ["x", "y"], "source 'bad' failed with ValueError"),
    ],
)
def test_a_source_that_fails_is_named(reward, message):
    with pytest.raises(RewardError, match=message):
        Composed([ONE, Source("bad", reward)], [1.0, 1.0]).score(ANSWERS)


def test_a_sources_own_words_are_kept():
    def refuse(rollouts):
        raise RewardError("the budget is spent")

    with pytest.raises(RewardError, match="reward source 'judge': the budget is spent"):
        Composed([Source("judge", refuse)], [1.0])(ANSWERS)


def brevity(rollouts):
    return [-len(item.text) for item in rollouts]


def test_a_plain_function_is_a_source_under_its_own_name():
    scores = Composed([brevity, ONE], [2.0, 1.0]).score(ANSWERS)
    assert list(scores.parts) == ["brevity", "one"]
    np.testing.assert_array_equal(scores.total, [-1.0, -5.0])
    with pytest.raises(RewardError, match="two reward sources are called 'brevity'"):
        Composed([brevity, brevity], [1.0, 1.0])


def test_what_a_notebook_hands_in():
    given = Composed([brevity], [3.0])
    assert Composed.of(given) is given
    for rewards in (brevity, [brevity]):
        np.testing.assert_array_equal(Composed.of(rewards)(ANSWERS), [-1.0, -3.0])
    assert Composed.of([brevity, ONE]).weights == (1.0, 1.0)


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ([], [], "at least one"),
        ([ONE, LENGTH], [1.0], "2 reward sources have 1 weights"),
        ([ONE, ONE], [1.0, 1.0], "two reward sources are called 'one'"),
    ],
)
def test_what_cannot_be_summed_is_refused(sources, weights, message):
    with pytest.raises(RewardError, match=message):
        Composed(sources, weights)
