"""Worked values of the pairwise protocols, in both orders."""

from __future__ import annotations

import pytest

from annotation.judging import (
    Chain,
    JudgeSpec,
    MissingLogprobs,
    Reply,
    Request,
    TokenLogprobs,
    chains,
)
from tests.annotation.judging.making import (
    CRITERIA,
    Model,
    ask,
    by_order,
    content,
    judge,
    prefers,
    said,
    soft,
    spec,
)


def test_a_pair_is_asked_in_both_orders() -> None:
    assert [chain.shown_order for chain in chains(spec("mt_bench"), content())] == [(0, 1), (1, 0)]


def test_one_order_is_drawn_by_hash_and_stays() -> None:
    one = spec("mt_bench", both_orders=False)
    drawn = [chains(one, content(texts=(f"{n}", "x")))[0].shown_order for n in range(40)]
    assert set(drawn) == {(0, 1), (1, 0)}
    assert drawn == [chains(one, content(texts=(f"{n}", "x")))[0].shown_order for n in range(40)]


@pytest.mark.parametrize("position", [0, 1])
def test_mt_bench_a_win_in_both_orders_is_a_win(position: int) -> None:
    answer = judge(spec("mt_bench"), content(), prefers(position)).criteria["overall"]
    assert answer.strength == (2 if position == 0 else -2)
    assert answer.consistent is True
    assert answer.probabilities is None


@pytest.mark.parametrize(("first", "second"), [("A", "A"), ("B", "B"), ("A", "tie"), ("tie", "A")])
def test_mt_bench_anything_else_is_a_tie(first: str, second: str) -> None:
    combined = judge(spec("mt_bench"), content(), by_order(first, second))
    assert combined.criteria["overall"].strength == 0
    assert combined.criteria["overall"].consistent is False


def test_a_tie_in_both_orders_is_consistent() -> None:
    answer = judge(spec("mt_bench"), content(), by_order("tie", "tie")).criteria["overall"]
    assert (answer.strength, answer.consistent) == (0, True)


def test_both_raw_verdicts_are_kept_in_canonical_order() -> None:
    detail = judge(spec("mt_bench"), content(), by_order("A", "A")).detail
    assert detail["criteria"]["overall"]["raw"] == [
        {"shown_order": [0, 1], "sample": 0, "strength": 2},
        {"shown_order": [1, 0], "sample": 0, "strength": -2},
    ]
    assert detail["criteria"]["overall"]["answer"] == {"strength": 0}
    assert detail["reason"] == "because"


def test_samples_give_soft_labels() -> None:
    asked = spec("mt_bench", samples=4, temperature=1.0, soft_labels="samples")

    def model(request: Request, chain: Chain) -> Reply:
        # Position 0 wins 3 of 4 when shown first, and 2 of 4 with 2 ties when shown second.
        first = ["A", "A", "A", "B"][chain.sample]
        second = ["B", "tie", "B", "tie"][chain.sample]
        return said(first if chain.shown_order == (0, 1) else second)

    answer = judge(asked, content(), model).criteria["overall"]
    assert answer.probabilities == pytest.approx([(0.75 + 0.75) / 2])
    # Mean strengths 1 and 1: a win in both orders, fainter than a plain one.
    assert (answer.strength, answer.consistent) == (1, True)


def test_mt_bench_keeps_the_fainter_of_both_wins() -> None:
    def model(request: Request, chain: Chain) -> Reply:
        # Means of 2 and 1: all samples of one order, half of the other's.
        return said("A" if chain.shown_order == (0, 1) else ["B", "tie"][chain.sample])

    answer = judge(spec("mt_bench", samples=2), content(), model).criteria["overall"]
    assert (answer.strength, answer.consistent) == (1, True)


@pytest.mark.parametrize(
    ("first", "second", "strength", "consistent"),
    [
        ("A>>B", "B>>A", 3, True),
        ("A>>B", "B>A", 2, True),
        ("A>B", "B>A", 1, True),
        ("A>>B", "A>B", 1, False),
        ("A>B", "A>B", 0, False),
        ("A>B", "A=B", 0, False),
        ("A=B", "A=B", 0, True),
        ("B>>A", "A>>B", -3, True),
        ("B>>A", "A=B", -1, False),
    ],
)
def test_arena_hard_is_the_mean_of_both_games(
    first: str, second: str, strength: int, consistent: bool
) -> None:
    answer = judge(spec("arena_hard"), content(), by_order(first, second)).criteria["overall"]
    assert (answer.strength, answer.consistent) == (strength, consistent)


def rlaif(first: dict[str, float], second: dict[str, float]) -> Model:
    return lambda request, chain: soft(**(first if chain.shown_order == (0, 1) else second))


def test_rlaif_averages_the_distributions_of_both_orders() -> None:
    combined = judge(spec("rlaif"), content(), rlaif({"A": 0.6, "B": 0.2}, {"A": 0.3, "B": 0.6}))
    answer = combined.criteria["overall"]
    # 0.6/0.8 = 0.75 when first; when second it is B: 0.6/0.9 = 0.6667.
    assert answer.probabilities == pytest.approx([(0.75 + 2 / 3) / 2])
    assert (answer.strength, answer.consistent) == (2, True)
    raw = combined.detail["criteria"]["overall"]["raw"]
    assert [one["missing"] for one in raw] == pytest.approx([0.2, 0.1])
    assert raw[1]["labels"] == pytest.approx({"A": 1 / 3, "B": 2 / 3})
    assert raw[1]["probabilities"] == pytest.approx([2 / 3])


def test_rlaif_a_judge_of_position_alone_ends_in_the_tie_band() -> None:
    answer = judge(
        spec("rlaif"), content(), rlaif({"A": 0.9, "B": 0.1}, {"A": 0.88, "B": 0.12})
    ).criteria["overall"]
    assert answer.probabilities == pytest.approx([0.51])
    assert (answer.strength, answer.consistent) == (0, False)


def test_rlaif_reasons_in_a_call_of_its_own() -> None:
    asked = spec("rlaif", reasoning=True)

    def model(request: Request, chain: Chain) -> Reply:
        if request.stage == "reason":
            assert (request.top_logprobs, request.choices) == (0, None)
            return Reply("A says the truth.")
        assert request.messages[-2] == {"role": "assistant", "content": "A says the truth."}
        assert request.choices == ("A", "B")
        assert request.top_logprobs == 20
        assert request.max_tokens < 10
        return soft(A=0.5, B=0.5)

    replies = ask(asked, content(), Chain((0, 1)), model)
    assert list(replies) == ["reason", "verdict"]
    combined = judge(asked, content(), model)
    assert combined.reason == "A says the truth."
    assert combined.criteria["overall"].strength == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply("A"),
        Reply("A", tokens=()),
        Reply("A", tokens=(TokenLogprobs("A", -0.1, {}),)),
        # B might have anything up to 0.2.
        Reply("A", tokens=(TokenLogprobs("A", -0.36, {"A": -0.36, "The": -1.61}),)),
        # The probability among the choices alone, beside the model's own.
        Reply("B", tokens=(TokenLogprobs("B", 0.0, {"A": -0.1, "The": -3.0}),)),
        Reply("A", tokens=(TokenLogprobs("A", float("nan"), {"A": float("nan")}),)),
    ],
)
def test_a_missing_log_probability_is_an_error_and_no_hard_label(reply: Reply) -> None:
    with pytest.raises(MissingLogprobs):
        judge(spec("rlaif"), content(), lambda request, chain: reply)


def test_a_label_that_cannot_matter_may_be_unlisted() -> None:
    top = {"A": -0.001, "The": -8.0}
    reply = Reply("A", tokens=(TokenLogprobs("A", -0.001, top),))
    answer = judge(spec("rlaif"), content(), lambda request, chain: reply).criteria["overall"]
    assert answer.probabilities == (0.5,)


def test_a_tie_label_counts_half_for_each() -> None:
    asked = spec("mt_bench", soft_labels="logprobs", reasoning=False)
    model = rlaif({"A": 0.5, "B": 0.1, "C": 0.2}, {"A": 0.2, "B": 0.2, "C": 0.4})
    answer = judge(asked, content(), model).criteria["overall"]
    # (0.5 + 0.2 / 2) / 0.8 when first; (0.2 + 0.4 / 2) / 0.8 when second.
    assert answer.probabilities == pytest.approx([(0.75 + 0.5) / 2])
    # Only one order has a winner, so MT-Bench has none.
    assert (answer.strength, answer.consistent) == (0, False)


def test_mt_bench_by_labels_wants_the_win_in_both_orders() -> None:
    asked = spec("mt_bench", soft_labels="logprobs", reasoning=False)
    # P(first) is 0.95 and 0.3, then 0.95 and 0.8: the mean alone would name a winner of both.
    split = rlaif({"A": 0.95, "B": 0.05}, {"A": 0.7, "B": 0.3})
    answer = judge(asked, content(), split).criteria["overall"]
    assert answer.probabilities == pytest.approx([0.625])
    assert (answer.strength, answer.consistent) == (0, False)
    both = rlaif({"A": 0.95, "B": 0.05}, {"A": 0.2, "B": 0.8})
    answer = judge(asked, content(), both).criteria["overall"]
    assert (answer.strength, answer.consistent) == (2, True)


@pytest.mark.parametrize("protocol", ["mt_bench", "constitution"])
def test_a_tie_label_likelier_than_both_others_is_a_tie(protocol: str) -> None:
    asked = spec(protocol, samples=1, soft_labels="logprobs", reasoning=False)
    model = rlaif({"A": 0.35, "B": 0.05, "C": 0.6}, {"A": 0.05, "B": 0.35, "C": 0.6})
    combined = judge(asked, content(), model)
    answer = combined.criteria["overall"]
    assert answer.probabilities == pytest.approx([0.65])
    assert answer.strength == 0
    assert [one["strength"] for one in combined.detail["criteria"]["overall"]["raw"]] == [0, 0]


def test_one_order_alone_can_not_be_consistent() -> None:
    asked = spec("mt_bench", both_orders=False)
    answer = judge(asked, content(), prefers(0)).criteria["overall"]
    assert (answer.strength, answer.consistent) == (2, None)


def test_spellings_of_a_label_add_up() -> None:
    reply = soft(**{"A": 0.3, " A": 0.2, "▁A": 0.1, "B": 0.2, "a": 0.1, "An": 0.05})
    combined = judge(spec("rlaif", both_orders=True), content(), lambda request, chain: reply)
    first = combined.detail["criteria"]["overall"]["raw"][0]
    assert first["labels"]["A"] == pytest.approx(0.6 / 0.8)
    assert first["missing"] == pytest.approx(0.2)


def test_blank_tokens_before_the_label_are_passed_over() -> None:
    label = soft(A=0.8, B=0.2).tokens[0]
    reply = Reply("\n A", tokens=(TokenLogprobs("\n", -0.1, {"\n": -0.1}), label))
    raw = judge(spec("rlaif"), content(), lambda request, chain: reply).detail["criteria"][
        "overall"
    ]["raw"]
    assert raw[0]["probabilities"] == pytest.approx([0.8])


def test_no_label_at_all_is_mended_once_and_then_unparsable() -> None:
    asked: list[str] = []

    def model(request: Request, chain: Chain) -> Reply:
        asked.append(request.stage)
        return soft(Well=0.9, I=0.1)

    combined = judge(spec("rlaif"), content(), model)
    assert combined.outcome == "unparsable"
    assert asked == ["verdict", "repair"] * 2


def test_labels_are_asked_a_criterion_at_a_time() -> None:
    two = content(criteria=CRITERIA)

    def model(request: Request, chain: Chain) -> Reply:
        is_honest = "Honest" in request.messages[-1]["content"].split("Judge by this alone")[1]
        at = 0.9 if chain.shown_order == (0, 1) else 0.1
        return soft(A=1 - at, B=at) if is_honest else soft(A=at, B=1 - at)

    replies = ask(spec("rlaif"), two, Chain((0, 1)), model)
    assert list(replies) == ["verdict", "verdict 2"]
    combined = judge(spec("rlaif"), two, model)
    assert combined.criteria["helpful"].probabilities == pytest.approx([0.9])
    assert combined.criteria["honest"].probabilities == pytest.approx([0.1])


def test_json_holds_the_verdict_of_every_criterion() -> None:
    two = content(criteria=CRITERIA)

    def model(request: Request, chain: Chain) -> Reply:
        assert request.schema["properties"]["verdict"]["required"] == ["helpful", "honest"]
        first = chain.shown_order == (0, 1)
        return said({"helpful": "A" if first else "B", "honest": "tie"})

    combined = judge(spec("mt_bench"), two, model)
    assert {key: one.strength for key, one in combined.criteria.items()} == {
        "helpful": 2,
        "honest": 0,
    }


def test_where_people_only_pick_a_judge_picks() -> None:
    picks = content(picks=True)
    combined = judge(spec("arena_hard"), picks, by_order("A>>B", "B>>A"))
    assert combined.criteria["overall"].strength == 2
    assert (
        judge(spec("arena_hard"), picks, by_order("A>B", "B>A")).criteria["overall"].strength == 2
    )


SYMMETRIC: list[tuple[JudgeSpec, Model]] = [
    (spec("rlaif"), rlaif({"A": 0.7, "B": 0.1}, {"A": 0.2, "B": 0.5})),
    (spec("mt_bench", soft_labels="samples"), by_order("A", "tie")),
    (spec("arena_hard", soft_labels="samples"), by_order("A>>B", "A=B")),
    (
        spec("mt_bench", soft_labels="logprobs"),
        rlaif({"A": 0.6, "B": 0.1, "C": 0.2}, {"A": 0.2, "B": 0.3, "C": 0.4}),
    ),
    (spec("constitution"), by_order("A", "A")),
]


@pytest.mark.parametrize(("asked", "model"), SYMMETRIC)
def test_swapped_responses_have_the_complement(asked: JudgeSpec, model: Model) -> None:
    def swapped(request: Request, chain: Chain) -> Reply:
        return model(request, Chain(tuple(1 - at for at in chain.shown_order), chain.sample))

    pair = content()
    turned = content(texts=("London.", "Paris."))
    one = judge(asked, pair, model).criteria["overall"]
    other = judge(asked, turned, swapped).criteria["overall"]
    assert other.strength == -one.strength
    assert other.probabilities == pytest.approx([1 - one.probabilities[0]])
    assert other.consistent == one.consistent
