"""What an evaluation says in words."""

from __future__ import annotations

from typing import Any

import pytest

from training.selectors.evaluation import evaluated


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
