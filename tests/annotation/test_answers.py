from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.answers import AnswerValue, checked, checked_all, dense, to_canonical, to_shown
from core.errors import PrefloopError


def test_the_first_shown_is_better_whichever_it_is() -> None:
    value = AnswerValue(strength=3)
    assert to_canonical(value, [0, 1]).strength == 3
    assert to_canonical(value, [1, 0]).strength == -3


def test_ranks_follow_their_responses() -> None:
    # Shown: position 2 first, then 0, then 1.
    value = AnswerValue(ranks=(1, 2, 3), acceptable_to=1)
    assert to_canonical(value, [2, 0, 1]) == AnswerValue(ranks=(2, 3, 1), acceptable_to=1)


@given(st.permutations(range(5)), st.lists(st.integers(1, 5), min_size=5, max_size=5))
def test_there_and_back(order: list[int], ranks: list[int]) -> None:
    value = AnswerValue(ranks=tuple(ranks))
    assert to_shown(to_canonical(value, order), order) == value


@given(st.permutations(range(2)), st.integers(-3, 3))
def test_strength_there_and_back(order: list[int], strength: int) -> None:
    value = AnswerValue(strength=strength)
    assert to_shown(to_canonical(value, order), order) == value


def test_ranks_are_stored_without_gaps() -> None:
    assert dense([1, 3, 3, 4]) == (1, 2, 2, 3)
    value = checked("listwise", 3, AnswerValue(ranks=(1, 3, 3), acceptable_to=3))
    assert value == AnswerValue(ranks=(1, 2, 2), acceptable_to=2)


def test_both_bad_means_a_tie() -> None:
    assert checked("pairwise", 2, AnswerValue(both_bad=True)).strength == 0


@pytest.mark.parametrize(
    ("kind", "size", "value"),
    [
        ("pairwise", 2, AnswerValue()),
        ("pairwise", 2, AnswerValue(strength=4)),
        ("pairwise", 2, AnswerValue(strength=1, both_bad=True)),
        ("pairwise", 2, AnswerValue(thumb=1)),
        ("thumbs", 1, AnswerValue()),
        ("thumbs", 1, AnswerValue(thumb=2)),
        ("listwise", 3, AnswerValue(ranks=(1, 2))),
        ("listwise", 3, AnswerValue(ranks=(0, 1, 2))),
        ("listwise", 3, AnswerValue(ranks=(1, 2, 4))),
        ("listwise", 3, AnswerValue(ranks=(1, 2, 3), acceptable_to=4)),
    ],
)
def test_nonsense_is_refused(kind: str, size: int, value: AnswerValue) -> None:
    with pytest.raises(PrefloopError):
        checked(kind, size, value)


def test_every_criterion_needs_an_answer_and_no_other_is_taken() -> None:
    up = AnswerValue(thumb=1)
    assert checked_all("thumbs", 1, ["true", "kind"], {"true": up, "kind": up})
    with pytest.raises(PrefloopError, match="missing for: kind"):
        checked_all("thumbs", 1, ["true", "kind"], {"true": up})
    with pytest.raises(PrefloopError, match="no criterion fun"):
        checked_all("thumbs", 1, ["true"], {"true": up, "fun": up})
