"""Rankings, and the way between the order shown and the canonical order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.judging import Chain, Reply, Request, chains, read_chain
from tests.annotation.judging.making import Model, judge, listed, said, spec


def ranking(*ranks: int) -> Model:
    """A judge that ranks canonical positions so, whatever order it sees."""
    return lambda request, chain: said(_groups(ranks, chain.shown_order))


def _groups(ranks: tuple[int, ...], order: tuple[int, ...]) -> list[list[str]]:
    letters = {position: "ABCDEFGHI"[place] for place, position in enumerate(order)}
    return [
        [letters[position] for position in order if ranks[position] == rank]
        for rank in sorted(set(ranks))
    ]


def test_a_list_is_asked_in_a_random_order_and_its_reverse() -> None:
    made = [chains(spec("ranking", "listwise"), listed(*"abcd", str(n))) for n in range(20)]
    for first, second in made:
        assert sorted(first.shown_order) == [0, 1, 2, 3, 4]
        assert second.shown_order == first.shown_order[::-1]
    assert len({first.shown_order for first, _ in made}) > 10
    again = [chains(spec("ranking", "listwise"), listed(*"abcd", str(n))) for n in range(20)]
    assert made == again


def test_ranks_come_back_in_canonical_order() -> None:
    answer = judge(spec("ranking", "listwise"), listed(*"abcde"), ranking(2, 1, 3, 2, 4)).criteria[
        "overall"
    ]
    assert answer.ranks == (2, 1, 3, 2, 4)
    assert answer.consistent is True


@given(
    st.integers(2, 9).flatmap(
        lambda n: st.tuples(
            st.permutations(range(n)), st.lists(st.integers(1, n), min_size=n, max_size=n)
        )
    )
)
def test_there_and_back(given_: tuple[list[int], list[int]]) -> None:
    order, wanted = tuple(given_[0]), given_[1]
    places = {rank: place for place, rank in enumerate(sorted(set(wanted)), start=1)}
    ranks = tuple(places[rank] for rank in wanted)
    item = listed(*[str(n) for n in range(len(order))])
    asked = spec("ranking", "listwise")
    chain = Chain(order)
    verdict = read_chain(asked, item, chain, {"verdict": said(_groups(ranks, order))})
    assert verdict.criteria["overall"].ranks == ranks


def test_orders_that_differ_meet_in_the_mean_rank() -> None:
    item = listed(*"abc")
    first, second = chains(spec("ranking", "listwise"), item)

    def model(request: Request, chain: Chain) -> Reply:
        ranks = (1, 2, 3) if chain == first else (1, 3, 2)
        return said(_groups(ranks, chain.shown_order))

    answer = judge(spec("ranking", "listwise", soft_labels="samples"), item, model).criteria[
        "overall"
    ]
    assert first.shown_order != second.shown_order
    assert answer.ranks == (1, 2, 2)
    assert answer.probabilities == (1.0, 1.0, 0.5)
    assert answer.consistent is False


def test_a_judge_of_position_alone_ties_all() -> None:
    answer = judge(
        spec("ranking", "listwise"),
        listed(*"abcd"),
        lambda request, chain: said([["A"], ["B"], ["C"], ["D"]]),
    ).criteria["overall"]
    assert answer.ranks == (1, 1, 1, 1)
    assert answer.consistent is False


@pytest.mark.parametrize(
    "value",
    [
        [["A"], ["B"]],
        [["A"], ["B"], ["B"]],
        [["A"], ["B"], ["C"], ["D"]],
        [["A", "B", "C"], []],
        "A > B",
        {"A": 1, "B": 2, "C": 3},
        [["A"], ["B"], [["C"]], [1]],
        7,
        None,
    ],
)
def test_a_ranking_without_each_letter_once_is_unparsable(value: object) -> None:
    verdict = read_chain(
        spec("ranking", "listwise"),
        listed(*"abc"),
        Chain((0, 1, 2)),
        {"verdict": said({"overall": value})},
    )
    assert verdict.outcome == "unparsable"


@pytest.mark.parametrize("value", [["B", "A", "C"], "B > A > C", [["B"], "A", ["C"]], "b>a>c"])
def test_other_spellings_of_a_ranking(value: object) -> None:
    verdict = read_chain(
        spec("ranking", "listwise"), listed(*"abc"), Chain((0, 1, 2)), {"verdict": said(value)}
    )
    assert verdict.criteria["overall"].ranks == (2, 1, 3)


def test_nine_responses_are_lettered_a_to_i() -> None:
    ranks = tuple(range(9, 0, -1))
    answer = judge(spec("ranking", "listwise"), listed(*"abcdefghi"), ranking(*ranks))
    assert answer.criteria["overall"].ranks == ranks
    with pytest.raises(ValueError, match="responses"):
        listed(*"abcdefghij")
