from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.answers import AnswerValue, dense
from annotation.gold_match import agrees, agrees_with_item, expected_value


def strength(number: int, *, both_bad: bool = False) -> AnswerValue:
    return AnswerValue(strength=number, both_bad=both_bad)


def ranks(*numbers: int) -> AnswerValue:
    return AnswerValue(ranks=numbers)


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        (2, 1, True),
        (2, 3, True),
        (2, -1, False),
        (2, 0, False),
        (-3, -1, True),
        (0, 0, True),
        (0, 1, False),
    ],
)
def test_a_pair_is_right_when_the_same_side_is_better(
    expected: int, answer: int, right: bool
) -> None:
    assert agrees("pairwise", strength(expected), strength(answer)) is right


def test_both_bad_is_a_tie() -> None:
    assert agrees("pairwise", strength(0), strength(0, both_bad=True))
    assert not agrees("pairwise", strength(1), strength(0, both_bad=True))


@pytest.mark.parametrize(("expected", "answer"), [(0, 0), (1, 1), (0, 1), (1, 0)])
def test_a_thumb_is_right_when_it_is_the_same(expected: int, answer: int) -> None:
    right = agrees("thumbs", AnswerValue(thumb=expected), AnswerValue(thumb=answer))
    assert right is (expected == answer)


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ((1, 2, 3), (1, 2, 3), True),
        ((1, 2, 3), (2, 1, 3), False),  # 2 of 3 pairs
        ((1, 2, 3), (1, 2, 2), True),  # 2.5 of 3
        ((1, 2, 3, 4), (2, 1, 3, 4), True),  # 5 of 6
        ((1, 2, 3, 4), (2, 1, 4, 3), False),  # 4 of 6
        ((1, 2), (1, 1), False),  # a half
        ((1, 2, 2), (1, 3, 2), True),  # gold does not order the last two
        ((1, 1, 1), (1, 1, 1), True),
        ((1, 1, 1), (1, 2, 2), False),
        ((1, 2, 3), (1, 2), False),
    ],
)
def test_a_list_is_right_when_most_pairs_stand_in_golds_order(
    expected: tuple[int, ...], answer: tuple[int, ...], right: bool
) -> None:
    assert agrees("listwise", ranks(*expected), ranks(*answer)) is right


@pytest.mark.parametrize("size", [3, 4])
def test_who_ranks_at_random_is_right_once_in_six(size: int) -> None:
    gold = ranks(*range(1, size + 1))
    orders = list(permutations(range(1, size + 1)))
    right = sum(agrees("listwise", gold, ranks(*order)) for order in orders)
    assert right * 6 == len(orders)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=9))
def test_everything_agrees_with_itself_and_orders_not_with_their_reverse(
    numbers: list[int],
) -> None:
    order = dense(numbers)
    assert agrees("listwise", ranks(*order), ranks(*order))
    if len(set(order)) > 1:
        turned = dense(-rank for rank in order)
        assert not agrees("listwise", ranks(*order), ranks(*turned))


@pytest.mark.parametrize("kind", ["pairwise", "listwise", "thumbs"])
def test_another_shape_does_not_agree(kind: str) -> None:
    values = {
        "pairwise": strength(1),
        "listwise": ranks(1, 2),
        "thumbs": AnswerValue(thumb=1),
    }
    for other, value in values.items():
        assert agrees(kind, values[kind], value) is (kind == other)


def test_an_item_is_right_on_every_criterion_that_both_answer() -> None:
    gold = {"helpful": strength(1), "honest": strength(-1)}
    assert agrees_with_item("pairwise", gold, {"helpful": strength(2), "honest": strength(-2)})
    assert not agrees_with_item("pairwise", gold, {"helpful": strength(2), "honest": strength(2)})
    assert agrees_with_item("pairwise", gold, {"helpful": strength(3)})
    assert agrees_with_item("pairwise", gold, {"style": strength(3)}) is None


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ({"strength": 2}, strength(2)),
        ({"strength": 0, "both_bad": True, "ranks": None}, strength(0, both_bad=True)),
        ({"ranks": [1, 2, 2]}, ranks(1, 2, 2)),
        ({"thumb": 0}, AnswerValue(thumb=0)),
    ],
)
def test_gold_is_read_as_it_is_stored(expected: dict[str, object], value: AnswerValue) -> None:
    assert expected_value(expected) == value
