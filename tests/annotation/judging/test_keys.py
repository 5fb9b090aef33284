"""What names a call, and the delimiter made of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotation.judging import Chain, call_key, nonce
from tests.annotation.judging.making import CRITERIA, SECRET, content

BASE = {
    "judge_key": "7:abc",
    "content_hash": content().content_hash(),
    "chain": Chain((0, 1), 0),
    "purpose": "judge/verdict",
}


def test_the_same_call_has_the_same_key() -> None:
    assert call_key(**BASE) == call_key(**BASE) == call_key(**BASE, attempt=1)
    assert len(call_key(**BASE)) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"judge_key": "8:abc"},
        {"content_hash": content(texts=("Paris", "London.")).content_hash()},
        {"chain": Chain((1, 0), 0)},
        {"chain": Chain((0, 1), 1)},
        {"purpose": "judge/repair"},
        {"purpose": "repeat 1/verdict"},
        {"attempt": 2},
    ],
)
def test_whatever_changes_the_call_changes_its_key(change: dict) -> None:
    assert call_key(**(BASE | change)) != call_key(**BASE)


@pytest.mark.parametrize(
    "other",
    [
        content(texts=("London.", "Paris.")),
        content(criteria=CRITERIA),
        content(reference="Paris"),
        content(guidelines="Be strict."),
        content(picks=True),
        replace(content(), prompt=({"role": "user", "content": "Capital?"},)),
    ],
)
def test_whatever_changes_the_item_changes_its_hash(other) -> None:
    assert other.content_hash() != content().content_hash()


def test_the_delimiter_is_of_the_key_and_the_secret() -> None:
    key, other = call_key(**BASE), call_key(**(BASE | {"attempt": 2}))
    assert nonce(SECRET, key) == nonce(SECRET, key)
    assert len({nonce(SECRET, key), nonce(SECRET, other), nonce(b"another", key)}) == 3
    assert len(nonce(SECRET, key)) == 20
    assert nonce(SECRET, key) not in key
    with pytest.raises(ValueError, match="secret"):
        nonce(b"", key)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [("pairwise", ("a",)), ("thumbs", ("a", "b")), ("listwise", ("a",)), ("poll", ("a", "b"))],
)
def test_an_item_has_as_many_responses_as_its_kind(kind: str, texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"responses|kind"):
        content(kind, texts)


def test_an_item_has_each_criterion_once() -> None:
    with pytest.raises(ValueError, match="criteria"):
        content(criteria=())
    with pytest.raises(ValueError, match="criteria"):
        content(criteria=(CRITERIA[0], CRITERIA[0]))
