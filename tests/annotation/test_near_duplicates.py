"""Near-duplicates share a band, others do not, and neither ever changes."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.near_duplicates import (
    BANDS,
    SHINGLE,
    THRESHOLD,
    bands,
    bands_of_many,
    normalised,
    side_of,
)

PROMPT = (
    "My sourdough keeps spreading sideways in the oven instead of rising. I proof it overnight "
    "in the fridge and bake it in a Dutch oven at 230 degrees. What should I change first, and "
    "how can I tell whether the dough was under-proofed or over-proofed before I bake it?"
)
OTHER = (
    "Write a short letter to my landlord that asks for the broken heating to be repaired within "
    "a week. It should be polite but firm, mention that I reported the problem twice already, "
    "and say that I will reduce the rent otherwise. Keep it under one hundred and fifty words."
)


def related(first: str, second: str) -> bool:
    return bool(set(bands(first)) & set(bands(second)))


def test_the_same_text_has_the_same_bands() -> None:
    assert bands(PROMPT) == bands(PROMPT)
    assert len(bands(PROMPT)) == BANDS
    assert len(set(bands(PROMPT))) == BANDS
    assert all(0 <= band < 2**63 for band in bands(PROMPT))


def test_case_and_white_space_do_not_matter() -> None:
    assert bands(PROMPT.upper().replace(" ", "\n\t ")) == bands(PROMPT)
    assert normalised("  The\u00a0ﬁne  PRINT\n") == "the fine print"


@pytest.mark.parametrize(
    "edited",
    [
        PROMPT.replace("sourdough", "bread"),
        PROMPT.replace("230", "220").replace("My", "Our"),
        "Please help: " + PROMPT,
        PROMPT + " Thanks!",
        PROMPT.replace(".", "").replace("?", ""),
    ],
)
def test_small_edits_share_a_band(edited: str) -> None:
    assert related(PROMPT, edited)


def test_other_prompts_share_none() -> None:
    assert not related(PROMPT, OTHER)


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("What is the capital of France?", "what is the capital of  France", True),
        ("What is the capital of France?", "Who wrote the Odyssey?", False),
        ("Hi", "hi ", True),
        ("Hi", "Yo", False),
        (
            "请用三句话解释光合作用是怎么进行的,适合小学生阅读",
            "请用三句话解释光合作用是怎么进行的,适合小学生阅读。",
            True,
        ),
        ("请用三句话解释光合作用是怎么进行的", "写一首关于秋天和大海的短诗给我的朋友", False),
        ("", "", True),
        ("", "Hi", False),
    ],
)
def test_short_texts_and_other_scripts(first: str, second: str, alike: bool) -> None:
    assert related(first, second) is alike


def test_unrelated_prompts_seldom_meet() -> None:
    words = np.array((PROMPT + " " + OTHER).split())
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 50)) for _ in range(300)]
    owners: dict[int, int] = {}
    for number, found in enumerate(bands_of_many(texts)):
        for band in found:
            assert owners.setdefault(band, number) == number


def similarity(first: str, second: str) -> float:
    one, two = (
        {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}
        for text in (normalised(first), normalised(second))
    )
    return len(one & two) / len(one | two)


def test_the_chance_to_share_a_band_follows_the_similarity() -> None:
    """Measure it on texts that are edited more and more; it must turn at the threshold."""
    rng = np.random.default_rng(1)
    shared: dict[str, list[bool]] = {"far": [], "middle": [], "near": []}
    for _ in range(600):
        letters = rng.integers(97, 123, 300)
        edited = letters.copy()
        edited[rng.integers(0, 300, rng.integers(1, 25))] = rng.integers(97, 123)
        first, second = (bytes(each.astype(np.uint8)).decode() for each in (letters, edited))
        found = similarity(first, second)
        group = "far" if found < 0.45 else "near" if found > 0.85 else "middle"
        shared[group].append(related(first, second))
    assert pytest.approx(0.70, abs=0.01) == THRESHOLD
    assert np.mean(shared["far"]) < 0.08
    assert np.mean(shared["near"]) > 0.96
    assert 0.2 < np.mean(shared["middle"]) < 0.8


def test_many_at_once_are_what_each_is_alone() -> None:
    texts = [PROMPT, "", OTHER, "Hi", "x" * 1000, PROMPT[:SHINGLE]] * 100
    assert bands_of_many(texts) == [bands(text) for text in texts]


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_has_bands(texts: list[str]) -> None:
    assert [len(found) for found in bands_of_many(texts)] == [BANDS] * len(texts)


def test_bands_never_change() -> None:
    """They are stored: other numbers would part old prompts from their new duplicates."""
    assert bands("What is the capital of France?")[:2] == (
        4614202646137736167,
        5142221179951712933,
    )


def test_five_thousand_prompts_a_second() -> None:
    words = np.array((PROMPT + " " + OTHER).split())
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(words, 50)) for _ in range(2000)]
    started = time.thread_time()
    assert len(bands_of_many(texts)) == 2000
    assert 2000 / (time.thread_time() - started) > 5_000


def test_sides_are_drawn_once_and_in_proportion() -> None:
    sides = [side_of(f"cluster-{number}") for number in range(20_000)]
    assert sides.count("held_out") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert side_of("cluster-7", 0.0) == "train"
    assert side_of("cluster-7", 1.0) == "held_out"
    held_out = [key for key in map(str, range(100)) if side_of(key) == "held_out"]
    assert held_out == ["32", "72", "78", "82", "99"]


def test_a_larger_share_keeps_who_was_held_out() -> None:
    keys = [str(number) for number in range(2000)]
    few = {key for key in keys if side_of(key, 0.1) == "held_out"}
    assert few < {key for key in keys if side_of(key, 0.3) == "held_out"}
