"""One repair, then unparsable; and what becomes of part of an item's replies."""

from __future__ import annotations

import json
import math

import pytest

from annotation.judging import (
    Chain,
    Reply,
    Request,
    TokenLogprobs,
    chains,
    combine,
    most_calls,
    next_request,
    read_chain,
)
from tests.annotation.judging.making import (
    CRITERIA,
    ask,
    by_order,
    content,
    judge,
    said,
    soft,
    spec,
)

BAD = Reply("Both have their merits, I would say.")
FIRST = Chain((0, 1))


def test_an_unreadable_reply_is_shown_once_with_what_is_wrong() -> None:
    asked = spec("mt_bench")
    request = next_request(asked, content(), FIRST, {"verdict": BAD}, nonce="n")
    assert request.stage == "repair"
    assert request.messages[-2] == {"role": "assistant", "content": BAD.text}
    assert "no verdict in it" in request.messages[-1]["content"]
    assert '"verdict"' in request.messages[-1]["content"]
    both = {"verdict": BAD, "repair": said("A")}
    assert next_request(asked, content(), FIRST, both, nonce="n") is None
    assert read_chain(asked, content(), FIRST, both).criteria["overall"].strength == 2


def test_after_one_repair_it_is_unparsable_and_no_tie() -> None:
    asked: list[str] = []

    def model(request: Request, chain: Chain) -> Reply:
        asked.append(request.stage)
        return BAD

    combined = judge(spec("mt_bench"), content(), model)
    assert asked == ["verdict", "repair"] * 2
    assert combined.outcome == "unparsable"
    assert combined.criteria == {}
    assert "no verdict" in combined.error
    assert [one["shown_order"] for one in combined.detail["unreadable"]] == [[0, 1], [1, 0]]


def test_one_unreadable_order_makes_the_item_unparsable() -> None:
    combined = judge(
        spec("mt_bench"), content(), lambda request, chain: BAD if chain == FIRST else said("B")
    )
    assert combined.outcome == "unparsable"


def test_one_unreadable_sample_of_an_order_is_left_out_and_told() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        return BAD if chain == FIRST else said("A" if chain.shown_order == (0, 1) else "B")

    asked = spec("mt_bench", samples=2, temperature=1.0, soft_labels="samples")
    combined = judge(asked, content(), model)
    answer = combined.criteria["overall"]
    assert (answer.strength, answer.probabilities) == (2, (1.0,))
    assert len(combined.detail["criteria"]["overall"]["raw"]) == 3
    assert combined.detail["unreadable"][0]["sample"] == 0


@pytest.mark.parametrize(
    "refused", [Reply("", refusal="I will not judge."), Reply("", finish_reason="content_filter")]
)
def test_a_refusal_is_not_asked_again(refused: Reply) -> None:
    replies = ask(spec("mt_bench"), content(), FIRST, lambda request, chain: refused)
    assert list(replies) == ["verdict"]
    verdict = read_chain(spec("mt_bench"), content(), FIRST, replies)
    assert verdict.outcome == "unparsable"
    assert "refused" in verdict.error


def test_each_criterion_by_labels_has_a_repair_of_its_own() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        return soft(Hm=1.0) if request.stage == "verdict 2" else soft(A=0.9, B=0.1)

    replies = ask(spec("rlaif"), content(criteria=CRITERIA), FIRST, model)
    assert list(replies) == ["verdict", "verdict 2", "repair 2"]


def test_a_reply_that_was_cut_off_is_not_read_in_part() -> None:
    cut = Reply('{"reasoning": "A is right", "verdict": {"overall": "A"', "length")
    verdict = read_chain(spec("mt_bench"), content(), FIRST, {"verdict": cut, "repair": cut})
    assert "cut off" in verdict.error


def test_a_long_bad_reply_is_shown_in_part() -> None:
    bad = Reply("word " * 5_000)
    request = next_request(spec("mt_bench"), content(), FIRST, {"verdict": bad}, nonce="n")
    assert len(request.messages[-2]["content"]) == 2_000


def test_an_item_of_which_nothing_was_asked_is_unparsable() -> None:
    asked = spec("mt_bench")
    assert combine(asked, content(), []).outcome == "unparsable"
    verdict = read_chain(asked, content(), FIRST, {})
    assert (verdict.outcome, verdict.error) == ("unparsable", "it was not asked to its end")


def test_replies_come_back_from_json_as_they_were() -> None:
    for reply in (BAD, soft(A=0.5, B=0.25), Reply("", "content_filter", None, "No.")):
        assert Reply.from_json(reply.to_json()) == reply
    assert Reply.from_json(BAD.to_json() | {"model": "m", "fingerprint": "f"}) == BAD


def test_what_no_database_keeps_is_not_kept() -> None:
    reply = Reply('{"reasoning": "a\\u0000b\\ud800", "verdict": {"overall": "A"}} \0 \ud800')
    assert reply.to_json()["text"].endswith("} \ufffd ?")
    assert "\0" not in read_chain(spec("mt_bench"), content(), FIRST, {"verdict": reply}).reason
    impossible = TokenLogprobs("A", -0.1, {"A": -0.1, "\ud800": -math.inf})
    kept = Reply("A", tokens=(impossible,)).to_json()
    assert kept["tokens"] == [["A", -0.1, {"A": -0.1, "?": -9999.0}]]
    json.dumps(kept, allow_nan=False).encode()
    for number in (math.nan, math.inf):
        broken = Reply("A", tokens=(TokenLogprobs("A", -0.1, {"A": number}),))
        assert Reply.from_json(broken.to_json()).tokens is None


def test_most_calls_is_a_bound() -> None:
    for asked, item in (
        (spec("rlaif", reasoning=True), content(criteria=CRITERIA)),
        (spec("mt_bench", samples=2), content()),
    ):
        calls = [0]

        def model(request: Request, chain: Chain, calls=calls) -> Reply:
            calls[0] += 1
            return Reply("thinking") if request.stage == "reason" else soft(Hm=1.0)

        for chain in chains(asked, item):
            ask(asked, item, chain, model)
        assert calls[0] == most_calls(asked, item)


def test_the_reason_tells_what_its_letters_stand_for() -> None:
    verdict = read_chain(
        spec("mt_bench"), content(), Chain((1, 0)), {"verdict": said("A", "A is short.")}
    )
    assert verdict.reason == "A is short.\n(A = response 2, B = response 1)"
    assert judge(spec("mt_bench"), content(), by_order("A", "B")).reason == "because"
