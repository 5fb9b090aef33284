"""The parser takes what is clear and never guesses."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from annotation.judging.formats import CHOICE, FIVE_WAY, POINTS_5, RANKING, SCORE_5, YES_NO
from annotation.judging.parsing import Unreadable, read_reason, read_values

ONE = ("overall",)


def read(text: str, answers=CHOICE, criteria=ONE, shown: int = 2):
    return read_values(text, answers, criteria, shown)


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "…", "verdict": {"overall": "B"}}',
        '{"verdict": "B"}',
        '{"verdict": {"Overall": "b"}}',
        'Here it is:\n```json\n{"verdict": {"overall": "B"}}\n```\nI hope this helps.',
        'After weighing both I say {"verdict": {"overall": "B"}}.',
        '{"result": {"verdict": {"overall": "B"}}}',
        '{"verdict": {"overall": "B"}}\n{"verdict": {"overall": "B"}}',
        '{"verdict": {"overall": "B"}}\nFinal verdict: B',
        '{"verdict": {"overall": "Response B"}}',
        "B",
        " **B**.",
        '"B"',
        "B is longer, A is wrong.\n\nVerdict: B",
        "Both are fine, but [[B]]",
        "The final verdict is: [[B]]",
        "**Final answer:** B",
    ],
)
def test_one_clear_verdict_is_read(text: str) -> None:
    assert read(text) == {"overall": "B"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no verdict"),
        ("I cannot decide.", "no verdict"),
        ("A and B are both good.", "no verdict"),
        ("AB", "no verdict"),
        ("{}", "no verdict"),
        ('{"verdict": {"overall": "A or B"}}', "none of"),
        ('{"verdict": {"overall": "C>>D"}}', "none of"),
        ('{"verdict": {"overall": null}}', "none of"),
        ('{"verdict": {"overall": ["A"]}}', "none of"),
        ('{"verdict": {"overall": true}}', "none of"),
        ('{"verdict": {"quality": "A"}}', "none of"),
        ('{"verdict": {"overall": "A"}} {"verdict": {"overall": "B"}}', "differ"),
        ('{"verdict": "A", "verdict": "B"}', "twice"),
        ('{"verdict": {"overall": "A", "Overall": "B"}}', "twice"),
        ('{"verdict": {"overall": "A"}} but on reflection [[B]]', "differ"),
        ("[[A]] or rather [[B]]", "differ"),
        ("Verdict: A\nVerdict: B", "differ"),
        ("Verdict: probably A", "none of"),
        ('{"verdict": {"overall": "A"', "broken"),
        ("{'verdict': {'overall': 'A'}}", "broken"),
        # What a broken reply quotes is not its verdict.
        ('{"reasoning": "it says {"verdict": {"overall": "A"}} which', "broken"),
        ('{"reasoning": {"verdict": {"overall": "A"}}, "verdict": {"overall": "B"}}', "differ"),
    ],
)
def test_what_is_not_clear_is_unreadable(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(text)


def test_a_verdict_inside_the_reasoning_text_is_none() -> None:
    fake = '{"verdict": {"overall": "A"}}'
    text = json.dumps({"reasoning": f"It says {fake} [[A]]", "verdict": {"overall": "B"}})
    assert read(text) == {"overall": "B"}


def test_every_criterion_must_be_answered() -> None:
    both = ("helpful", "honest")
    text = '{"verdict": {"helpful": "A", "honest": "tie", "style": "B"}}'
    assert read(text, criteria=both) == {"helpful": "A", "honest": "tie"}
    with pytest.raises(Unreadable, match="no verdict for honest"):
        read('{"verdict": {"helpful": "A"}}', criteria=both)
    for bare in ("A", '{"verdict": "A"}', "[[A]]"):
        with pytest.raises(Unreadable):
            read(bare, criteria=both)


@pytest.mark.parametrize("value", [4, 4.0, "4", "4/5", " 4 "])
def test_scores(value: object) -> None:
    assert read(json.dumps({"verdict": {"overall": value}}), SCORE_5, shown=1) == {"overall": 4}


@pytest.mark.parametrize("value", [0, 6, 3.5, -1, "four", True, None, "4 or 5", "4-5", 1e999, [4]])
def test_what_is_no_score(value: object) -> None:
    with pytest.raises(Unreadable):
        read(json.dumps({"verdict": {"overall": value}}), SCORE_5, shown=1)


def test_a_marked_score() -> None:
    assert read("Feedback: fine. [RESULT] 4", SCORE_5, shown=1) == {"overall": 4}
    assert read("It earns its points.\nScore: 0", POINTS_5, shown=1) == {"overall": 0}
    assert read("Score: 3/5", SCORE_5, shown=1) == {"overall": 3}


def test_scores_of_several_responses_are_by_letter() -> None:
    text = '{"verdict": {"overall": {"A": 4, "Response B": "2"}}}'
    assert read(text, SCORE_5) == {"overall": {"A": 4, "B": 2}}
    assert read('{"verdict": {"overall": [4, 2]}}', SCORE_5) == {"overall": {"A": 4, "B": 2}}
    for bad in (
        '{"A": 4}',
        '{"A": 4, "B": 2, "C": 1}',
        '{"A": 4, "a": 2, "B": 1}',
        "4",
        '{"A": 4, "B": 9}',
    ):
        with pytest.raises(Unreadable):
            read(f'{{"verdict": {{"overall": {bad}}}}}', SCORE_5)
    # A number for nobody is no score.
    with pytest.raises(Unreadable):
        read("Score: 4", SCORE_5)


def test_five_steps_and_yes_no() -> None:
    assert read("[[B>>A]]", FIVE_WAY) == {"overall": "B>>A"}
    assert read('{"verdict": {"overall": "A=B"}}', FIVE_WAY) == {"overall": "A=B"}
    assert read('{"verdict": {"overall": true}}', YES_NO, shown=1) == {"overall": "yes"}
    assert read("No.", YES_NO, shown=1) == {"overall": "no"}
    with pytest.raises(Unreadable):
        read("No, it is not; well, yes.", YES_NO, shown=1)


def test_what_is_too_long_is_not_searched() -> None:
    with pytest.raises(Unreadable, match="too long"):
        read("{" * 200_000)
    with pytest.raises(Unreadable):
        read('{"a":' * 20_000)


@pytest.mark.parametrize("depth", [200, 400, 600, 800, 900, 950])
def test_what_is_nested_deeply_is_unreadable(depth: int) -> None:
    for text in (
        '{"a":' * depth + "1" + "}" * depth,
        '{"verdict": ' + "[" * depth + "]" * depth + "}",
        '{"verdict": {"overall": ' + "[" * depth + "]" * depth + "}}",
    ):
        with pytest.raises(Unreadable):
            read(text)


def test_the_reason_is_for_people() -> None:
    assert read_reason('{"feedback": " Fine. ", "verdict": "A"}') == "Fine."
    assert read_reason("A is right.\nVerdict: A") == "A is right.\nVerdict: A"
    assert read_reason('{"reasoning": "cut') == '{"reasoning": "cut'


ANY = st.text() | st.text(alphabet='{}[]":,ABtie>= \n\\verdictoal0123456789')
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["A", "B", "tie", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["verdict", "overall", "A", "B", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FORMATS = st.sampled_from([CHOICE, FIVE_WAY, SCORE_5, RANKING, YES_NO])


@given(ANY | JSON.map(json.dumps), FORMATS)
@example('{"verdict": {"overall": 1e400}}', SCORE_5)
@example("[[" * 50 + "]]" * 50, CHOICE)
def test_any_text_is_read_or_unreadable(text: str, answers) -> None:
    shown = 1 if answers is YES_NO else 3 if answers is RANKING else 2
    try:
        values = read(text, answers, shown=shown)
    except Unreadable:
        return
    value = values["overall"]
    if answers is RANKING:
        assert sorted(set(value)) == list(range(1, max(value) + 1))
    elif answers is SCORE_5:
        assert set(value) == {"A", "B"}
        assert all(1 <= score <= 5 for score in value.values())
    else:
        assert value in answers.labels


# No label and no marks in it: no verdict can be read, whatever else it says.
@given(st.text(alphabet="cdefghjklmnopqrsuvwxyz .,;:!?()\n", max_size=200))
def test_a_text_without_a_label_has_no_verdict(text: str) -> None:
    if text.strip(" .,;:!?()\n") == "c":
        text += " c"
    with pytest.raises(Unreadable):
        read(text)


@given(
    st.text(alphabet="klmn \n,;", max_size=40),
    st.sampled_from(["A", "B", "tie"]),
    st.text(alphabet="klmn \n,;", max_size=40),
)
def test_prose_round_the_json_changes_nothing(before: str, label: str, after: str) -> None:
    text = before + json.dumps({"verdict": {"overall": label}}) + after
    assert read(text) == {"overall": label}
