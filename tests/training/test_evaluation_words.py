"""What an evaluation says in words."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string

from training.selectors.evaluation import Slice, evaluated


def sentence(difference: float, cut_after: int) -> str:
    length: dict[str, Any] = {
        "difference": {"value": difference}, "cut_before": 1, "cut_after": cut_after,
        "prompts": 4, "max_new_tokens": 12,
    }  # fmt: skip
    accuracy = {"value": 0.75, "low": 0.6, "high": 0.9}
    held_out = {"examples": 9, "accuracy": accuracy}
    return evaluated({"held_out": held_out, "length": length}).sentence


@pytest.mark.parametrize(
    ("difference", "cut_after", "words"),
    [
        (0.1, 1, "as long as before"),
        (-12.0, 2, "12 tokens shorter"),
        (8.0, 0, "8 tokens longer"),
        # Cut at the same place, they are of equal length whatever the model does.
        (0.0, 3, "cut off at 12 tokens"),
    ],
)
def test_lengths(difference: float, cut_after: int, words: str) -> None:
    assert words in sentence(difference, cut_after)


def estimate(value: float, spread: float = 0.1) -> dict[str, Any]:
    return {"value": value, "low": value - spread, "high": value + spread}


def test_a_chosen_answer_that_fell_is_explained() -> None:
    moved = {"chosen": {"difference": estimate(-3.2)}, "rejected": {"difference": estimate(-9.0)}}
    found = evaluated({"held_out": {"examples": 9}, "movement": moved})
    assert "less likely (−3.2 nats an answer), rejected ones less likely" in found.movement
    assert "DPO-Positive" in found.movement
    assert found.remedies
    moved["chosen"]["difference"] = estimate(1.0)
    risen = evaluated({"held_out": {"examples": 9}, "movement": moved})
    assert "likelier (+1.0 nats" in risen.movement
    assert not risen.remedies


@pytest.mark.parametrize("low", [-0.4, None])
def test_a_change_that_may_be_none_is_not_told_as_a_fact(low: float | None) -> None:
    unclear = {"difference": {"value": -0.1, "low": low, "high": None if low is None else 0.2}}
    moved = {"chosen": unclear, "rejected": {"difference": estimate(-2.0)}}
    found = evaluated({"held_out": {"examples": 9}, "movement": moved})
    assert found.movement == "Rejected answers became less likely (−2.0 nats an answer)."
    assert not found.remedies
    alone = evaluated({"held_out": {"examples": 9}, "movement": {"chosen": unclear}})
    assert (alone.movement, alone.remedies) == ("", False)


def test_a_small_clear_change_is_no_negative_zero() -> None:
    moved = {"chosen": {"difference": estimate(-0.04, 0.01)}}
    assert "(−0.04 nats" in evaluated({"held_out": {"examples": 9}, "movement": moved}).movement


def test_tiles_have_a_true_minus_and_a_word_where_there_is_no_interval() -> None:
    kl = {
        "k1": {"value": -0.31, "low": None, "high": None},
        "k3": {"value": -0.001, "low": None, "high": None},
        "unit": "nats per response",
    }
    held_out = {"examples": 40, "reward_margin": estimate(-0.2)}
    margin, k1, k3 = evaluated({"held_out": held_out, "kl": kl}).figures
    assert (margin.value, margin.interval) == ("−0.200", "−0.300 to −0.100")
    assert (k1.value, k1.interval) == ("−0.31", "too few prompts for an interval")
    assert "never below 0" in k1.note
    assert (k3.value, k3.note) == ("0.00", "nats per response")
    (alone, _) = evaluated({"held_out": {"examples": 4}, "kl": kl}).figures
    assert alone.interval == ""


def test_a_reward_model_in_words() -> None:
    figures = {
        "kind": "reward",
        "held_out": {"examples": 40, "pairs": 40, "accuracy": estimate(0.7)},
        "calibration": {"ece": estimate(0.08, 0.02), "brier": estimate(0.2)},
    }
    found = evaluated(figures)
    assert "puts 70 % in the judges' order (60 to 80)" in found.sentence
    assert "off by 8 points" in found.sentence
    assert found.is_clear
    assert {"Calibration error", "Brier score"} <= {figure.label for figure in found.figures}


def scored() -> dict[str, Any]:
    pairs = {"reward_margin": estimate(0.5), "accuracy": estimate(0.7)}
    sides = {"chosen_score": estimate(0.25), "rejected_score": estimate(-0.25)}
    few = {"reward_margin": {"value": -0.125, "low": None, "high": None}}
    return {
        "kind": "reward",
        "held_out": {"examples": 40, "pairs": 40, **pairs, **sides},
        "slices": [
            {"by": "length", "name": "longest quarter", "pairs": 12, **pairs, **sides},
            {"by": "tag", "name": "<b>code</b>", "pairs": 5, "accuracy": estimate(0.4), **few},
        ],
        "scores": {"mean": 0.004, "p5": -1.25, "p50": -0.1, "p95": 2.0},
    }


def test_scores_of_a_reward_model_and_of_its_slices() -> None:
    found = evaluated(scored())
    tiles = {one.label: (one.value, one.interval, one.note) for one in found.figures}
    assert tiles["Mean score of chosen"] == ("0.25", "0.15 to 0.35", "")
    assert tiles["Mean score of rejected"] == ("−0.25", "−0.35 to −0.15", "")
    spread = "median −0.10; nine in ten answers from −1.25 to 2.00"
    assert tiles["Mean score of all answers"] == ("0.00", "", spread)
    longest, few = found.slices
    assert longest == Slice(
        "length", "longest quarter", 12, "0.25", "−0.25", "0.50", "0.40 to 0.60"
    )
    # Of an evaluation from before both sides were kept, and of too few prompts for an interval.
    assert (few.chosen, few.rejected, few.margin, few.interval) == ("–", "–", "−0.12", "")


def test_the_page_shows_scores_by_slice() -> None:
    shown = render_to_string("training/_evaluation.html", {"evaluated": evaluated(scored())})
    for words in (
        "<caption>Scores by slice</caption>", "longest quarter", "&lt;b&gt;code&lt;/b&gt;",
        '<td class="number" data-label="Rejected">−0.25</td>', "0.40 to 0.60",
        "Mean score of all answers",
    ):  # fmt: skip
        assert words in shown, words
    policy = {"evaluated": evaluated({"held_out": {"examples": 9}})}
    assert "Scores by slice" not in render_to_string("training/_evaluation.html", policy)


def test_demonstrations_and_wins_in_words() -> None:
    perplexity = {"of": "demonstrations", "before": estimate(9.0), "after": estimate(7.5)}
    found = evaluated({"held_out": {"examples": 9}, "perplexity": perplexity})
    assert "went from 9.00 to 7.50" in found.sentence
    assert found.is_clear
    taxed = evaluated({"held_out": {"examples": 9}, "alignment_tax": perplexity})
    assert [(figure.label, figure.value) for figure in taxed.figures] == [
        ("Alignment tax: perplexity before", "9.00"), ("Alignment tax: perplexity after", "7.50"),
    ]  # fmt: skip
    won = evaluated({"held_out": {"examples": 9}, "win_rate": estimate(0.65)})
    assert "prefers its answers in 65 % of cases (55 to 75)" in won.sentence
    assert won.is_clear
    began = {"examples": 9, "accuracy": estimate(0.7), "accuracy_before": estimate(0.61)}
    assert "61 % is what it began from" in evaluated({"held_out": began}).sentence


@pytest.mark.parametrize(
    ("before", "is_clear"), [(None, True), (0.5, True), (0.58, True), (0.6, False), (0.7, False)]
)
def test_it_has_to_beat_what_it_began_from(before: float | None, is_clear: bool) -> None:
    held_out: dict[str, Any] = {"examples": 90, "accuracy": estimate(0.65, 0.06)}
    if before is not None:
        held_out["accuracy_before"] = estimate(before)
    assert evaluated({"held_out": held_out}).is_clear == is_clear


def held_to_pairs(chosen: float) -> dict[str, Any]:
    moved = {"chosen": {"difference": estimate(chosen)}, "rejected": {"difference": estimate(-1.0)}}
    texts = {"of": "chosen answers", "before": estimate(9.0), "after": estimate(7.5)}
    return {
        "pairs": 40, "accuracy": estimate(0.65), "log_ratio_margin": estimate(2.0),
        "movement": moved, "perplexity": texts,
    }  # fmt: skip


def test_a_policy_that_read_no_pairs_is_told_of_them() -> None:
    figures = {"held_out": {"examples": 9}, "preferences": held_to_pairs(-3.2), "movement": {}}
    found = evaluated(figures)
    assert "on 40 held-out pairs the answer that the judges preferred" in found.sentence.lower()
    assert "in 65 % of cases (55 to 75)" in found.sentence
    assert found.is_clear
    assert "less likely (−3.2 nats an answer)" in found.movement
    assert not found.remedies
    assert "DPO" not in found.movement


def test_all_policies_share_the_rows_about_pairs() -> None:
    own = {"examples": 9, "accuracy": estimate(0.7)}
    kinds = [
        {"held_out": own, "perplexity": held_to_pairs(1.0)["perplexity"]},
        {"held_out": {"examples": 9}},
    ]
    labels = [
        {one.label for one in evaluated({**kind, "preferences": held_to_pairs(1.0)}).figures}
        for kind in kinds
    ]
    assert labels[0] - labels[1] == {"Held-out accuracy"}
    assert {"Preferred answer gained more", "Perplexity of chosen after"} <= labels[1]
