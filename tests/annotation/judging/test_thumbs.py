"""One response: yes or no."""

from __future__ import annotations

import pytest

from annotation.judging import Chain, Reply, Request, chains
from tests.annotation.judging.making import judge, said, single, soft, spec


@pytest.mark.parametrize(("word", "thumb"), [("yes", 1), ("no", 0), ("Yes", 1), ("NO", 0)])
def test_yes_and_no_with_a_reason(word: str, thumb: int) -> None:
    combined = judge(
        spec("thumbs", "thumbs"), single(), lambda request, chain: said(word, "It is right.")
    )
    assert combined.criteria["overall"].answer == {"thumb": thumb}
    assert combined.criteria["overall"].consistent is None
    assert combined.reason == "It is right."


def test_one_response_has_one_order() -> None:
    assert chains(spec("thumbs", "thumbs"), single()) == (Chain((0,)),)


def test_log_probabilities_of_yes() -> None:
    asked = spec("thumbs", "thumbs", soft_labels="logprobs", reasoning=False)
    reply = soft(**{"yes": 0.3, " Yes": 0.3, "no": 0.2})
    answer = judge(asked, single(), lambda request, chain: reply).criteria["overall"]
    assert answer.probabilities == pytest.approx([0.75])
    assert answer.thumb == 1


@pytest.mark.parametrize(
    ("words", "thumb", "up"), [("yyn", 1, 2 / 3), ("ynn", 0, 1 / 3), ("yn", 0, 1 / 2)]
)
def test_most_samples_decide(words: str, thumb: int, up: float) -> None:
    asked = spec("thumbs", "thumbs", samples=len(words), temperature=1.0, soft_labels="samples")

    def model(request: Request, chain: Chain) -> Reply:
        return said({"y": "yes", "n": "no"}[words[chain.sample]])

    answer = judge(asked, single(), model).criteria["overall"]
    assert answer.thumb == thumb
    assert answer.probabilities == pytest.approx([up])
