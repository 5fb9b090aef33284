"""Win rates, and ratings against published values and another package."""

import json
from pathlib import Path

import evalica
import numpy as np
import pytest

from feedback.statistics.arrays import Floats, Integers
from feedback.statistics.win_rate import bradley_terry, win_rate

VECTORS = Path(__file__).parents[2] / "data" / "agreement_vectors.json"


def test_win_rate_counts_ties_as_half() -> None:
    sign = np.array([3.0, 1, 0, -2] * 10)
    found = win_rate(sign, np.arange(40) // 2)
    assert (found.wins, found.ties, found.losses) == (20, 10, 10)
    assert found.rate.value == pytest.approx(0.625)
    assert found.rate.low is not None
    assert found.rate.high is not None
    assert found.rate.low < 0.625 < found.rate.high


def test_win_rate_of_few_prompts_says_so() -> None:
    found = win_rate(np.ones(40), np.arange(40) % 3)
    assert found.wins == 40
    assert found.rate.value is None
    assert "Only 3 prompts" in found.rate.reason


def test_win_rate_of_nothing() -> None:
    found = win_rate(np.zeros(0), np.zeros(0, int))
    assert (found.wins, found.rate.value) == (0, None)


def test_bradley_terry_wikipedia() -> None:
    vectors = json.loads(VECTORS.read_text())["vectors"]
    vector = next(v for v in vectors if v["id"] == "bradley_terry_wikipedia_4")
    wins = np.array(vector["data"])
    first, second = np.repeat(np.indices((4, 4)).reshape(2, 16), wins.ravel(), axis=1)
    ones, prompts = np.ones(len(first)), np.arange(len(first))
    found = bradley_terry(first, second, ones, prompts, generators=4, prior=0)
    expected = vector["expected"]["strengths_geometric_mean_1"]
    assert np.exp(found.score) == pytest.approx(np.array(expected), abs=1e-6)
    assert found.beats[3, 0] == pytest.approx(2.2704 / (2.2704 + 0.6398), abs=1e-4)


def games(
    count: int, strengths: Floats, *, prompts: int, seed: int
) -> tuple[Integers, Integers, Floats, Integers]:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(strengths), count)
    second = (first + rng.integers(1, len(strengths), count)) % len(strengths)
    chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
    sign = np.where(rng.random(count) < 0.2, 0.0, np.where(rng.random(count) < chance, 1.0, -1.0))
    return first, second, sign, rng.integers(0, prompts, count)


def test_ratings_against_evalica() -> None:
    first, second, sign, prompt = games(3000, np.linspace(-1, 1, 6), prompts=200, seed=0)
    winner = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Draw, -1.0: evalica.Winner.Y}
    theirs = evalica.bradley_terry(
        first.tolist(), second.tolist(), [winner[each] for each in sign],
        tolerance=1e-10, limit=10_000,
    ).scores  # fmt: skip
    log_scores = np.log([theirs[each] for each in range(6)])
    mine = bradley_terry(first, second, sign, prompt, generators=6, prior=0).score
    assert mine == pytest.approx(log_scores - log_scores.mean(), abs=1e-4)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    strengths = np.array([-0.8, -0.2, 0.2, 0.8])
    covered = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        first, second, _, prompt = games(400, strengths, prompts=60, seed=seed)
        sign = np.where(
            rng.random(400) < 1 / (1 + np.exp(strengths[second] - strengths[first])), 1.0, -1.0
        )
        found = bradley_terry(first, second, sign, prompt, generators=4)
        covered.append((found.low <= strengths) & (strengths <= found.high))
    assert 0.91 <= np.mean(covered) <= 0.985


def test_votes_on_one_prompt_are_not_independent() -> None:
    """The same 200 votes, each ten times over on its prompt, teach nothing new."""
    votes = games(200, np.array([0.0, 0.4, 0.8]), prompts=100, seed=1)
    once = bradley_terry(*votes, generators=3, prior=0)
    often = bradley_terry(*(np.tile(column, 10) for column in votes), generators=3, prior=0)  # type: ignore[arg-type]
    assert often.high - often.low == pytest.approx(once.high - once.low)


def test_who_never_lost_is_rated_finitely() -> None:
    first, second = np.zeros(20, int), np.ones(20, int)
    found = bradley_terry(first, second, np.ones(20), np.arange(20), generators=2)
    assert np.isfinite(found.score).all()
    assert found.beats[0, 1] > 0.9
    assert found.elo[0] > 1000 > found.elo[1]
    assert found.games.tolist() == [20, 20]


def test_a_generator_without_comparisons_is_average_and_surely_beaten_by_none() -> None:
    first, second, sign, prompt = games(800, np.array([-1.0, 1.0]), prompts=50, seed=2)
    found = bradley_terry(first, second, sign, prompt, generators=3)
    assert abs(found.score[2]) < 0.2
    assert found.rank[1] == 1
    assert found.rank[0] > 1


def test_few_prompts_give_ratings_without_intervals() -> None:
    first, second, sign, prompt = games(100, np.array([0.0, 1.0]), prompts=4, seed=3)
    found = bradley_terry(first, second, sign, prompt, generators=2)
    assert np.isnan(found.low).all()
    assert found.rank.tolist() == [1, 1]
    assert "Only 4 prompts" in found.reason
