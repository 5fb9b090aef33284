"""Why judgments differ, in words."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.answers import AnswerValue
from feedback.review_words import Habit, Vote, causes


def votes(*values: AnswerValue, **fields: list[Any]) -> list[Vote]:
    """`fields`: a list a field, one value a vote."""
    plain: dict[str, Any] = {"is_judge": False, "protocol": 1, "shown_first": 0}
    return [
        Vote(
            number=place + 1,
            value=value,
            **(plain | {name: given[place] for name, given in fields.items()}),
        )
        for place, value in enumerate(values)
    ]


def strengths(*values: int) -> list[AnswerValue]:
    return [AnswerValue(strength=value) for value in values]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            strengths(3, 2, -1),
            "2 of 3 prefer Response 1 (1 much); 1 prefers Response 2 (1 slightly).",
        ),
        (strengths(2, 0), "1 of 2 prefers Response 1; 1 sees a tie."),
        (
            [AnswerValue(strength=0, both_bad=True), *strengths(0, -2)],
            "1 of 3 prefers Response 2; 2 see a tie (1 both bad).",
        ),
        ([AnswerValue(thumb=1), AnswerValue(thumb=0)], "1 of 2 found it good, 1 found it bad."),
        (
            [AnswerValue(ranks=(1, 2, 3)), AnswerValue(ranks=(2, 1, 3))],
            "They order 2 of 3 pairs of responses alike. "
            "Best is Response 1 for 1, Response 2 for 1.",
        ),
        (
            [AnswerValue(ranks=(1, 2, 3)), AnswerValue(ranks=(1, 3, 2))],
            "They order 2 of 3 pairs of responses alike. All put Response 1 first.",
        ),
    ],
)
def test_what_was_answered(values: list[AnswerValue], words: str) -> None:
    assert causes(votes(*values)) == [words]


def test_nobody_answered() -> None:
    assert causes([]) == []


def test_guidelines_that_changed_meanwhile() -> None:
    found = causes(votes(*strengths(2, 2, -2), protocol=[2, 2, 1]))
    assert found[1:] == [
        "Annotators 1 and 2 judged under version 2 of the guidelines, "
        "annotator 3 judged under version 1 of the guidelines."
    ]


def test_judges_against_people() -> None:
    found = causes(votes(*strengths(2, 1, -2), is_judge=[False, False, True]))
    assert found[1:] == [
        "People say Response 1 is better; judges that are models say Response 2 is better."
    ]
    assert len(causes(votes(*strengths(2, -1, -2), is_judge=[False, False, True]))) == 1


def test_each_chose_by_place() -> None:
    found = causes(votes(*strengths(2, -2), shown_first=[0, 1]))
    assert found[1:] == [
        "Each preferred the response that stood first for them: the place may have decided."
    ]
    # All saw the same first: nothing can be told.
    assert len(causes(votes(*strengths(2, -2), shown_first=[0, 0]))) == 1


def test_habits_and_haste() -> None:
    first = Habit(first=78, answers=100, low=0.69, high=0.85)
    second = Habit(first=20, answers=100, low=0.13, high=0.29)
    fair = Habit(first=52, answers=100, low=0.42, high=0.62)
    found = causes(
        votes(*strengths(2, -2, 1), habit=[first, second, fair], active_ms=[2_000, 30_000, None])
    )
    assert found[1:] == [
        "Annotator 1 prefers the side shown first in 78 % of 100 answers here "
        "(95 % interval 69 % to 85 %).",
        "Annotator 2 prefers the side shown second in 80 % of 100 answers here "
        "(95 % interval 71 % to 87 %).",
        "Annotator 1 answered within 3 seconds.",
    ]
