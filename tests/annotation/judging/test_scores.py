"""Scores on one response, on pairs and on lists."""

from __future__ import annotations

import pytest

from annotation.judging import Chain, Reply, Request, chains, next_request
from annotation.judging.scale import (
    chance_ahead,
    ranks_of,
    strength_of_probability,
    strength_of_scores,
)
from tests.annotation.judging.making import (
    CRITERIA,
    Model,
    content,
    judge,
    listed,
    said,
    single,
    soft,
    spec,
)


def scoring(*scores: int) -> Model:
    """A score for each canonical position, each response shown alone."""
    return lambda request, chain: said(scores[chain.shown_order[0]])


def rating(*scores: int) -> Model:
    """Scores by letter, all responses in one prompt."""
    return lambda request, chain: said(
        {
            key: dict(zip("ABCDEFGHI", [scores[at] for at in chain.shown_order], strict=False))
            for key in request.schema["properties"]["verdict"]["required"]
        }
    )


@pytest.mark.parametrize(
    ("first", "second", "strength"),
    [(5, 5, 0), (4, 5, -1), (5, 3, 2), (2, 4, -2), (5, 2, 3), (1, 5, -3)],
)
def test_a_pair_is_compared_by_its_scores(first: int, second: int, strength: int) -> None:
    combined = judge(spec("prometheus"), content(), scoring(first, second))
    answer = combined.criteria["overall"]
    assert answer.strength == strength
    assert answer.scores == pytest.approx((first, second))
    assert answer.consistent is None
    assert combined.detail["criteria"]["overall"]["scores"] == [first, second]


def test_responses_that_are_scored_alone_have_a_chain_each() -> None:
    assert [chain.shown_order for chain in chains(spec("prometheus"), content())] == [(0,), (1,)]
    orders = [chain.shown_order for chain in chains(spec("self_rewarding"), content())]
    assert orders == [(0,)] * 3 + [(1,)] * 3


def test_a_list_is_ranked_by_its_scores() -> None:
    answer = judge(
        spec("prometheus", "listwise"), listed("a", "b", "c", "d"), scoring(3, 5, 3, 1)
    ).criteria["overall"]
    assert answer.ranks == (2, 1, 2, 3)
    assert answer.scores == (3.0, 5.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("score", "threshold", "thumb"), [(3, None, 0), (4, None, 1), (4, 4.0, 0), (2, 1.0, 1)]
)
def test_a_single_response_is_good_above_the_threshold(
    score: int, threshold: float | None, thumb: int
) -> None:
    asked = spec("prometheus", "thumbs", threshold=threshold)
    answer = judge(asked, single(), scoring(score)).criteria["overall"]
    assert (answer.thumb, answer.scores) == (thumb, (score,))


def test_self_rewarding_takes_the_mean_over_samples() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        return said([[5, 4, 3], [3, 4, 2]][chain.shown_order[0]][chain.sample])

    answer = judge(spec("self_rewarding"), content(), model).criteria["overall"]
    assert answer.scores == (4.0, 3.0)
    # A difference of 1 on a scale of 5.
    assert answer.strength == 1
    # Of 9 pairs of samples, 6 are won (5 over 3, 4, 2; 4 over 3, 2; 3 over 2) and 2 are equal.
    assert answer.probabilities == pytest.approx([(6 + 2 / 2) / 9])


def test_scores_by_log_probabilities_are_means_over_the_labels() -> None:
    asked = spec("prometheus", soft_labels="logprobs", reasoning=False)

    def model(request: Request, chain: Chain) -> Reply:
        assert request.choices == ("1", "2", "3", "4", "5")
        tops = [
            {"1": 0.01, "2": 0.01, "3": 0.01, "4": 0.4, "5": 0.4},
            {"1": 0.01, "2": 0.01, "3": 0.5, "4": 0.4, "5": 0.01},
        ]
        return soft(**tops[chain.shown_order[0]])

    combined = judge(asked, content(), model)
    answer = combined.criteria["overall"]
    assert answer.scores[0] == pytest.approx((0.01 + 0.02 + 0.03 + 1.6 + 2.0) / 0.83)
    assert 0.5 < answer.probabilities[0] < 1
    assert answer.strength == 1
    raw = combined.detail["criteria"]["overall"]["raw"]
    assert raw[0]["scores"][1] is None
    assert raw[0]["missing"] == pytest.approx(0.17)


def test_ultrafeedback_rates_four_aspects_and_takes_their_mean() -> None:
    ratings = {
        "instruction_following": (5, 3),
        "honesty": (4, 4),
        "truthfulness": (5, 1),
        "helpfulness": (4, 2),
    }

    def model(request: Request, chain: Chain) -> Reply:
        return said(
            {
                key: {"A": scores[chain.shown_order[0]], "B": scores[chain.shown_order[1]]}
                for key, scores in ratings.items()
            }
        )

    combined = judge(spec("ultrafeedback"), content(), model)
    answer = combined.criteria["overall"]
    assert answer.scores == (4.5, 2.5)
    assert (answer.strength, answer.consistent) == (2, True)
    raw = combined.detail["criteria"]["overall"]["raw"]
    assert raw[1]["shown_order"] == [1, 0]
    assert raw[1]["parts"]["truthfulness"] == [5, 1]


def test_ultrafeedback_rates_a_projects_own_criteria() -> None:
    combined = judge(spec("ultrafeedback"), content(criteria=CRITERIA), rating(2, 4))
    assert set(combined.criteria) == {"helpful", "honest"}
    assert combined.criteria["honest"].scores == (2, 4)


def test_ratings_that_turn_with_the_order_are_told() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        return said({key: {"A": 5, "B": 1} for key in ("helpful", "honest")})

    answer = judge(spec("ultrafeedback"), content(criteria=CRITERIA), model).criteria["helpful"]
    assert (answer.strength, answer.consistent, answer.scores) == (0, False, (3, 3))


def test_ratings_of_a_list_stay_with_their_responses() -> None:
    answer = judge(
        spec("ultrafeedback", "listwise", soft_labels="samples"),
        listed("a", "b", "c", criteria=CRITERIA),
        rating(1, 5, 3),
    ).criteria["helpful"]
    assert answer.scores == (1.0, 5.0, 3.0)
    assert answer.ranks == (3, 1, 2)
    # Pairs 0-1, 0-2, 1-2.
    assert answer.probabilities == (0, 0, 1)


def test_the_rubric_of_the_settings_is_shown() -> None:
    def shown(asked) -> str:
        request = next_request(asked, content(), Chain((0,)), {}, nonce="n")
        return request.messages[-1]["content"]

    assert "nothing to mend" in shown(spec("prometheus"))
    assert "5: rhymes" in shown(spec("prometheus", rubric="1: does not rhyme\n5: rhymes"))


@pytest.mark.parametrize(
    ("probability", "strength"),
    [
        (0.5, 0), (0.55, 0), (0.56, 1), (0.69, 1), (0.7, 2), (0.89, 2), (0.9, 3), (1.0, 3),
        (0.45, 0), (0.44, -1), (0.3, -2), (0.1, -3), (0.0, -3),
    ],
)  # fmt: skip
def test_strength_of_a_probability(probability: float, strength: int) -> None:
    assert strength_of_probability(probability, 0.05) == strength


def test_strength_of_scores_is_a_share_of_the_scale() -> None:
    assert [strength_of_scores(s, 0, (0, 10)) for s in (0, 1, 2.5, 3, 5, 6)] == [0, 1, 1, 2, 2, 3]
    assert strength_of_scores(0.1 + 0.2, 0.3, (1, 5)) == 0


def test_ranks_of_equal_values_are_shared() -> None:
    assert ranks_of([1.0, 3.0, 1.0, 2.0]) == (3, 1, 3, 2)
    assert ranks_of([0.1 + 0.2, 0.3]) == (1, 1)


def test_chance_ahead_of_two_distributions() -> None:
    assert chance_ahead({5: 0.5, 3: 0.5}, {4: 1.0}) == 0.5
    assert chance_ahead({4: 1.0}, {4: 0.5, 2: 0.5}) == 0.75
