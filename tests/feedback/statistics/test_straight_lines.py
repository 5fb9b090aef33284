"""Runs and most frequent answers, worked by hand; chance bounds checked by shuffling."""

from __future__ import annotations

import numpy as np
import pytest

from feedback.statistics.arrays import Integers
from feedback.statistics.straight_lines import Presses, StraightLines, straight_lines


def lines(*answers: list[int], moment: Integers | None = None) -> StraightLines:
    """One labeler for each list."""
    rater = np.repeat(np.arange(len(answers)), [len(one) for one in answers])
    flat = np.concatenate([np.array(one) for one in answers])
    order = np.arange(len(flat)) if moment is None else moment
    return straight_lines([Presses(rater, flat, order)], raters=len(answers))


def test_by_hand() -> None:
    found = lines([3, 3, 3, 0, 3, 3, -1, 3, 3, 3, 3, 0], [0, 1] * 6)
    assert found.run.tolist() == [4, 1]
    assert found.share.value == pytest.approx([9 / 12, 0.5])
    assert found.others == pytest.approx([0, 2 / 12])
    # A run of 4 with p = 3/4 among 12 has p^4 (1 + 8/4) = 0.949; less likely is a single -1, of
    # p = 1/12: p (1 + 11 * 11/12) = 0.924.
    assert found.chance[0] == pytest.approx((1 + 11 * 11 / 12) / 12)


def test_the_order_is_that_of_time() -> None:
    moment = np.array([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11])
    assert lines([1] * 6 + [0] * 6, moment=moment).run.tolist() == [1]
    assert lines([1] * 6 + [0] * 6).run.tolist() == [6]


def test_answers_of_one_moment_are_no_run() -> None:
    found = lines([1] * 6 + [0] * 6, moment=np.zeros(12, dtype=np.int64))
    assert found.run.tolist() == [1]


def test_one_labelers_end_is_not_the_next_ones_beginning() -> None:
    assert lines([0, 1, 1], [1, 1, 0]).run.tolist() == [2, 2]


def test_too_few_answers_have_no_share() -> None:
    assert np.isnan(lines([1] * 9).share.value[0])


def test_the_worst_of_several_criteria_is_told() -> None:
    calm = Presses(np.zeros(12, dtype=np.int64), np.arange(12) % 3, np.arange(12))
    stuck = Presses(np.zeros(12, dtype=np.int64), np.ones(12, dtype=np.int64), np.arange(12))
    for tables in ([calm, stuck], [stuck, calm]):
        found = straight_lines(tables, raters=1)
        assert (found.share.value[0], found.run[0]) == (1, 12)


def test_nobody_and_nothing() -> None:
    assert np.isnan(straight_lines([], raters=2).share.value).all()


def test_the_bound_holds_under_shuffling() -> None:
    """Of answers in random order, no more have an unlikely run than the bound says."""
    rng = np.random.default_rng(2)
    raters, answers = 4_000, 60
    pressed = np.where(rng.random((raters, answers)) < 0.6, 1, 0)
    rater = np.repeat(np.arange(raters), answers)
    table = Presses(rater, pressed.ravel(), np.tile(np.arange(answers), raters))
    chance = straight_lines([table], raters=raters).chance
    for level in (0.2, 0.05, 0.01):
        assert (chance < level).mean() < level * 1.5
