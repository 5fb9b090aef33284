"""The registry: every protocol asks and reads every kind that it names."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from annotation.judging import (
    Chain,
    JudgeSettings,
    Reply,
    Request,
    chains,
    check_spec,
    default_template,
    get_protocol,
    needs_of,
    next_request,
    protocols,
)
from annotation.judging.formats import FORMATS, LETTERS, get_format
from tests.annotation.judging.making import (
    CRITERIA,
    OVERALL,
    content,
    judge,
    listed,
    said,
    single,
    soft,
    spec,
)

EACH = [(protocol.key, kind) for protocol in protocols() for kind in protocol.kinds]
ITEMS = {"pairwise": content, "listwise": lambda **more: listed("a", "b", "c", **more)}


def item(kind: str, criteria=OVERALL):
    return ITEMS.get(kind, single)(criteria=criteria)


def obedient(request: Request, chain: Chain) -> Reply:
    """Says the first thing that its schema or choices allow."""
    if request.stage == "reason":
        return Reply("I thought about it.")
    if request.top_logprobs:
        return soft(**{choice: 0.9 / len(request.choices) for choice in request.choices})
    verdict = request.schema["properties"]["verdict"]["properties"]
    return said({key: _first(schema) for key, schema in verdict.items()})


def _first(schema: dict):
    if schema["type"] == "array":
        return [[letter] for letter in schema["items"]["items"]["enum"]]
    if schema["type"] == "object":
        return {key: _first(value) for key, value in schema["properties"].items()}
    return schema["enum"][0]


@pytest.mark.parametrize(("key", "kind"), EACH)
@pytest.mark.parametrize("criteria", [OVERALL, CRITERIA])
def test_every_protocol_answers_every_criterion(key: str, kind: str, criteria) -> None:
    asked = spec(key, kind)
    assert check_spec(asked, kind) == []
    combined = judge(asked, item(kind, criteria), obedient)
    assert combined.outcome == "judged"
    assert list(combined.criteria) == [one.key for one in criteria]
    field = {"pairwise": "strength", "listwise": "ranks", "thumbs": "thumb"}[kind]
    assert all(field in one.answer for one in combined.criteria.values())
    json.dumps(combined.detail, allow_nan=False)


@pytest.mark.parametrize(("key", "kind"), EACH)
def test_every_prompt_shows_the_item_and_asks_for_its_form(key: str, kind: str) -> None:
    asked = spec(key, kind)
    shown = item(kind, CRITERIA)
    for chain in chains(asked, shown):
        request = next_request(asked, shown, chain, {}, nonce="n" * 20)
        text = request.messages[-1]["content"]
        assert "What is the capital of France?" in text
        assert "{" + "response" not in text
        assert "Honest" in text
        for position in chain.shown_order:
            assert shown.responses[position][0]["content"] in text
        if not asked.by_labels:
            assert '"verdict"' in text
            assert ("reasoning" in request.schema["properties"]) == asked.settings.reasoning


@pytest.mark.parametrize("protocol", protocols(), ids=lambda protocol: protocol.key)
def test_every_protocol_says_what_it_is(protocol) -> None:
    assert protocol.title
    assert protocol.source
    assert protocol.summary.endswith(".")
    assert protocol.rule.endswith(".")
    assert protocol.url.startswith("https://") or protocol.key == "own"
    assert get_protocol(protocol.key) is protocol
    assert protocol.needs == needs_of(protocol.defaults)


def test_keys_are_unique_and_unknown_ones_are_told() -> None:
    assert len({protocol.key for protocol in protocols()}) == len(protocols()) == 10
    assert get_protocol("rlaif").needs == {"logprobs"}
    with pytest.raises(ValueError, match="protocol"):
        get_protocol("coin")
    with pytest.raises(ValueError, match="kind"):
        default_template("mt_bench", "thumbs")
    with pytest.raises(ValueError, match="answer_format"):
        get_format("essay")


def test_a_schema_is_strict() -> None:
    request = next_request(
        spec("ultrafeedback"), content(criteria=CRITERIA), Chain((0, 1)), {}, nonce="n"
    )

    def strict(schema: dict) -> None:
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
            for inner in schema["properties"].values():
                strict(inner)

    strict(request.schema)
    score = request.schema["properties"]["verdict"]["properties"]["helpful"]["properties"]["A"]
    assert score == {"type": "integer", "enum": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    ("made", "kind", "problem"),
    [
        (spec("mt_bench"), "listwise", "judges pairwise, not listwise"),
        (spec("arena_hard", soft_labels="logprobs"), "pairwise", "takes none or samples"),
        (spec("mt_bench", soft_labels="samples", temperature=1.0), "pairwise", "at least 2"),
        (spec("mt_bench", soft_labels="samples", samples=3), "pairwise", "at least 2"),
        (spec("mt_bench", soft_labels="samples", samples=2, temperature=1.0), "pairwise", ""),
        (spec("constitution", samples=1), "pairwise", "at least 2"),
        (spec("constitution", principles="Be kind."), "pairwise", "at least 2"),
        (spec("constitution", principles="Be kind.\nBe honest."), "pairwise", ""),
        (replace(spec("mt_bench"), protocol_version=9), "pairwise", "protocol_version"),
        (
            replace(spec("own"), template=default_template("arena_hard", "pairwise")),
            "pairwise",
            "",
        ),
        (
            replace(
                spec("own", soft_labels="logprobs"),
                template=default_template("arena_hard", "pairwise"),
            ),
            "pairwise",
            "one short label",
        ),
        (
            replace(
                spec("own", soft_labels="logprobs"),
                template=default_template("ultrafeedback", "pairwise"),
            ),
            "pairwise",
            "one short label",
        ),
    ],
)
def test_what_cannot_be_asked_is_told_before(made, kind: str, problem: str) -> None:
    problems = check_spec(made, kind)
    assert bool(problems) == bool(problem)
    assert problem in " ".join(problems)


def test_a_template_is_an_object_of_three_texts() -> None:
    for text in (
        '{"system": "", "body": ""}',
        "[]",
        '{"system": 1, "body": "", "answer_format": ""}',
    ):
        with pytest.raises(ValueError, match="template"):
            _ = replace(spec("own"), template=text).texts


def test_the_seed_differs_by_sample_and_is_the_same_again() -> None:
    asked = spec("self_rewarding")
    seeds = [
        next_request(asked, content(), chain, {}, nonce="n").seed
        for chain in chains(asked, content())
    ]
    assert seeds == [0, 1, 2, 0, 1, 2]


def principle(asked, chain: Chain) -> str:
    text = next_request(asked, content(), chain, {}, nonce="n").messages[-1]["content"]
    return text.split("The principle:\n")[1].split("\n")[0]


def test_each_sample_is_judged_by_a_principle_of_its_own_in_both_orders() -> None:
    asked = spec("constitution", samples=3, principles="Be brief.\n\n Be kind. \nBe right.")
    drawn = [principle(asked, chain) for chain in chains(asked, content())]
    assert set(drawn) == {"Be brief.", "Be kind.", "Be right."}
    assert drawn[:3] == drawn[3:]


def test_principles_that_agree_are_the_soft_label() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        better = 0 if chain.sample < 2 else 1
        return said("A" if chain.shown_order[0] == better else "B")

    answer = judge(spec("constitution"), content(), model).criteria["overall"]
    assert answer.probabilities == pytest.approx([2 / 3])
    assert (answer.strength, answer.consistent) == (1, True)


def test_the_reference_is_shown_only_where_it_may_be_used() -> None:
    with_reference = content(reference="It is Paris.")
    for used, item_ in ((True, with_reference), (False, with_reference), (True, content())):
        asked = spec("mt_bench", use_reference=used)
        text = next_request(asked, item_, Chain((0, 1)), {}, nonce="n").messages[-1]["content"]
        assert ("It is Paris." in text) == (used and item_ is with_reference)
        assert ("reference" in text) == (used and item_ is with_reference)


def test_formats_have_letters_for_nine() -> None:
    assert len(LETTERS) == 9
    assert all(len(one.tokens) in (0, len(one.labels)) for one in FORMATS.values())
    assert JudgeSettings().samples == 1
