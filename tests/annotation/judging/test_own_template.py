"""A researcher's own template: what is wrong is said in plain words, and what is right works."""

from __future__ import annotations

import pytest

from annotation.judging import Chain, check_spec, next_request
from annotation.judging.own_template import PLACEHOLDERS, check_template, formats_for
from tests.annotation.judging.making import by_order, content, judge, own, said

PAIR = "Read {prompt}. First: {response_a}. Second: {response_b}."


@pytest.mark.parametrize(
    ("kind", "answer_format", "body"),
    [
        ("pairwise", "choice", PAIR),
        ("pairwise", "either", PAIR + "{criteria}{guidelines}{reference}"),
        ("pairwise", "five_way", PAIR),
        ("pairwise", "score_10", "{prompt} {response}"),
        ("pairwise", "score_5", "{prompt} {responses}"),
        ("listwise", "ranking", "{prompt} {responses}"),
        ("listwise", "score_5", "{prompt} {response}"),
        ("thumbs", "yes_no", "{prompt} {response}"),
        ("thumbs", "points_5", "{prompt} {responses} {rubric} {principles}"),
        ("pairwise", "choice", PAIR + ' Say {"json"} and { x } and {1}.'),
    ],
)
def test_what_can_be_used(kind: str, answer_format: str, body: str) -> None:
    assert check_template(kind, answer_format, "You judge.", body) == []


@pytest.mark.parametrize(
    ("kind", "answer_format", "system", "body", "problem"),
    [
        ("poll", "choice", "", PAIR, "no kind “poll”"),
        ("pairwise", "essay", "", PAIR, "no answer format “essay”"),
        ("pairwise", "yes_no", "", PAIR, "cannot be answered for pairwise"),
        ("thumbs", "choice", "", "{prompt}{response}", "cannot be answered for thumbs"),
        ("pairwise", "choice", "", "", "The body is empty"),
        ("pairwise", "choice", "", "{response_a}{response_b}", "lacks {prompt}"),
        ("pairwise", "choice", "", "{prompt}", "lacks {response_a} and {response_b}"),
        ("pairwise", "choice", "", "{prompt}{response_a}", "Show both"),
        ("pairwise", "choice", "", "{prompt}{response}", "shows one response alone"),
        ("pairwise", "score_5", "", PAIR + "{response}", "in one way"),
        ("listwise", "ranking", "", PAIR, "are for pairs"),
        ("listwise", "ranking", "", "{prompt}", "lacks {responses}"),
        ("thumbs", "yes_no", "", "{prompt}", "lacks {response}"),
        ("pairwise", "choice", "", PAIR + "{answer_c}", "{answer_c} is no placeholder"),
        ("pairwise", "choice", "See {prompt}", PAIR, "system text has {prompt}"),
        ("pairwise", "choice", "", PAIR + "{% if x %}", "template language"),
        ("pairwise", "choice", "", PAIR + "{{ x }}", "template language"),
        ("pairwise", "choice", "${x}", PAIR, "template language"),
        ("pairwise", "choice", "", PAIR + "x" * 20_001, "longer than 20,000"),
    ],
)
def test_what_is_wrong_is_said(
    kind: str, answer_format: str, system: str, body: str, problem: str
) -> None:
    problems = check_template(kind, answer_format, system, body)
    assert problem in " ".join(problems)


def test_the_platform_adds_marks_and_the_form_of_the_reply() -> None:
    request = next_request(own(PAIR, "choice"), content(), Chain((1, 0)), {}, nonce="k" * 20)
    system, body = (message["content"] for message in request.messages)
    assert system.startswith("You judge.")
    assert "is data" in system
    assert 'First: <<<BEGIN response A kkkkkkkkkkkkkkkkkkkk>>>\n"London."\n<<<END' in body
    assert '"verdict": {"overall": "A"|"B"|"tie"}' in body


def test_braces_that_name_nothing_stay() -> None:
    body = PAIR + ' Keep {"a": 1} and {unknown_} and {}.'
    request = next_request(own(body, "choice"), content(), Chain((0, 1)), {}, nonce="k")
    assert 'Keep {"a": 1} and {unknown_} and {}.' in request.messages[-1]["content"]


def test_its_answers_are_combined_by_their_format() -> None:
    tie = judge(own(PAIR, "choice"), content(), by_order("A", "A")).criteria["overall"]
    assert (tie.strength, tie.consistent) == (0, False)
    mean = judge(own(PAIR, "five_way"), content(), by_order("A>>B", "B>A")).criteria["overall"]
    assert mean.strength == 2
    even = judge(own(PAIR, "either"), content(), by_order("A", "A")).criteria["overall"]
    assert (even.strength, even.consistent) == (0, False)
    scores = judge(
        own("{prompt} {response}", "score_10"),
        content(),
        lambda request, chain: said([9, 2][chain.shown_order[0]]),
    ).criteria["overall"]
    assert (scores.strength, scores.scores) == (3, (9, 2))


def test_a_broken_template_makes_no_judge() -> None:
    assert check_spec(own(PAIR, "choice"), "pairwise") == []
    assert "lacks {prompt}" in " ".join(check_spec(own("{response}", "score_5"), "pairwise"))


def test_formats_of_a_kind() -> None:
    assert {one.key for one in formats_for("thumbs")} == {
        "score_5",
        "score_10",
        "points_5",
        "yes_no",
    }
    assert "response" in PLACEHOLDERS
