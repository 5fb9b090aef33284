"""An answer names the questions that stood beside it; any change of them shows."""

from __future__ import annotations

import pytest

from annotation.answer_form import stamp_of
from annotation.models import Protocol

ASKED = {"version": 1, "guidelines": "Read both.", "criteria": [{"key": "a", "name": "A"}]}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"guidelines": "Read both twice."},
        {"criteria": [{"key": "a", "name": "B"}]},
        {"reasons": ["wrong"]},
        {"thumbs_reasons": ["wrong"]},
        {"pairwise_scale": Protocol.Scale.PICK},
        {"comment_min_length": 20},
        {"allows_rewrite": False},
    ],
)
def test_every_change_of_what_is_asked_shows(change: dict[str, object]) -> None:
    assert stamp_of(Protocol(**ASKED)) == stamp_of(Protocol(**ASKED))
    assert stamp_of(Protocol(**{**ASKED, **change})) != stamp_of(Protocol(**ASKED))
