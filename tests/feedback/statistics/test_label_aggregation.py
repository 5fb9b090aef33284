"""Majority, Dawid and Skene's model on their own data, lists and thumbs."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.statistics.aggregation import (
    NO_MAJORITY,
    Aggregation,
    aggregate_lists,
    aggregate_votes,
    dawid_skene,
    majority,
    probability_first,
    share_of_ups,
)
from feedback.statistics.arrays import Floats, Integers

VECTORS = Path(__file__).parents[2] / "data" / "agreement_vectors.json"


def test_dawid_and_skene_1979() -> None:
    vectors = json.loads(VECTORS.read_text())["vectors"]
    vector = next(v for v in vectors if v["id"].startswith("dawid_skene_1979"))
    grades = np.array(vector["data"]) - 1
    observer = np.tile([0, 0, 0, 1, 2, 3, 4], len(grades))
    fit = dawid_skene(
        np.repeat(np.arange(45), 7), observer, grades.ravel(),
        units=45, annotators=5, categories=4, smoothing=0, tolerance=1e-12, iterations=1000,
    )  # fmt: skip
    expected = vector["expected"]
    assert fit.converged
    assert fit.prevalence == pytest.approx(expected["prevalence"], abs=1e-6)
    assert (fit.truth.argmax(axis=1) + 1).tolist() == expected["map_class"]
    assert fit.confusion[0] == pytest.approx(np.array(expected["confusion_obs1"]), abs=1e-5)
    assert fit.confusion[1] == pytest.approx(np.array(expected["confusion_obs2"]), abs=1e-5)


def crowd(
    units: int, accuracies: list[float], *, seed: int = 0, categories: int = 3
) -> tuple[Integers, tuple[Integers, Integers, Integers]]:
    """Votes of annotators who are right with these chances, and else guess; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, categories, units)
    right = rng.random((units, len(accuracies))) < np.array(accuracies)
    votes = np.where(right, truth[:, None], rng.integers(0, categories, right.shape))
    unit = np.repeat(np.arange(units), len(accuracies))
    annotator = np.tile(np.arange(len(accuracies)), units)
    return truth, (unit, annotator, votes.ravel())


def fit_crowd(votes: tuple[Integers, Integers, Integers], units: int, people: int) -> Aggregation:
    unit, annotator, category = votes
    return aggregate_votes(unit, annotator, category, units=units, annotators=people, categories=3)


def test_good_annotators_outweigh_guessers() -> None:
    truth, votes = crowd(500, [0.9, 0.85, 0.0, 0.0, 0.0])
    fit = fit_crowd(votes, 500, 5)
    counts = np.zeros((500, 3))
    np.add.at(counts, (votes[0], votes[2]), 1)
    by_vote = (majority(counts, rule="plurality") == truth).mean()
    assert fit.method == "dawid_skene"
    assert (fit.truth.argmax(axis=1) == truth).mean() > by_vote + 0.05
    assert fit.weight[:2].min() > 0.7 > 0.15 > fit.weight[2:].max()


def test_the_answer_is_as_sure_as_competent_people_are() -> None:
    """The truth is nearly certain here, but a new annotator still errs as the others do."""
    truth, votes = crowd(800, [0.7] * 7)
    fit = fit_crowd(votes, 800, 7)
    right = fit.answer[np.arange(800), truth]
    assert fit.truth.max(axis=1).mean() > 0.95
    assert right.mean() == pytest.approx(0.8, abs=0.03)


def test_probabilities_are_calibrated_on_new_votes() -> None:
    truth, votes = crowd(2000, [0.6] * 4, seed=5)
    fit = fit_crowd(votes, 2000, 4)
    _, (_, _, fresh) = crowd(2000, [0.6], seed=6)
    rng = np.random.default_rng(7)
    fresh = np.where(rng.random(2000) < 0.6, truth, rng.integers(0, 3, 2000))
    predicted = probability_first(fit.answer)
    outcome = (fresh == 2) + (fresh == 1) / 2
    for low, high in ((0, 0.4), (0.4, 0.6), (0.6, 1)):
        chosen = (predicted >= low) & (predicted < high)
        assert outcome[chosen].mean() == pytest.approx(predicted[chosen].mean(), abs=0.05)


def test_a_newcomer_is_taken_for_an_average_annotator() -> None:
    _, (unit, annotator, category) = crowd(300, [0.9, 0.9, 0.9])
    unit, annotator = np.append(unit, 300), np.append(annotator, 3)
    fit = fit_crowd((unit, annotator, np.append(category, 2)), 301, 4)
    assert fit.truth[300].argmax() == 2
    assert fit.weight[3] == pytest.approx(fit.weight[:3].mean(), abs=0.2)


@pytest.mark.parametrize("smoothing", [0.0, 4.0])
def test_a_vote_of_weight_two_is_the_same_vote_twice(smoothing: float) -> None:
    _, (unit, annotator, category) = crowd(60, [0.9, 0.7, 0.4])
    weight = np.where(annotator == 1, 2.0, 1.0)
    twice = np.concatenate([np.arange(len(unit)), np.flatnonzero(annotator == 1)])
    size = {"units": 60, "annotators": 3, "categories": 3, "smoothing": smoothing}
    weighted = dawid_skene(unit, annotator, category, weight=weight, **size)
    doubled = dawid_skene(unit[twice], annotator[twice], category[twice], **size)
    for name in ("truth", "answer", "confusion", "weight", "prevalence"):
        assert getattr(weighted, name) == pytest.approx(getattr(doubled, name), abs=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 4.0])
def test_a_vote_of_weight_nothing_is_no_vote(smoothing: float) -> None:
    _, (unit, annotator, category) = crowd(60, [0.9, 0.8, 0.2])
    kept = annotator != 2
    size = {"units": 60, "annotators": 3, "categories": 3, "smoothing": smoothing}
    without = dawid_skene(unit[kept], annotator[kept], category[kept], **size)
    weighted = dawid_skene(unit, annotator, category, weight=kept.astype(np.float64), **size)
    assert weighted.truth == pytest.approx(without.truth, abs=1e-4)
    assert weighted.answer == pytest.approx(without.answer, abs=1e-4)


def test_a_lighter_vote_is_weaker_evidence() -> None:
    """Somebody stands alone against two: the less they weigh, the less they are believed."""
    _, (unit, annotator, category) = crowd(200, [0.8, 0.8, 0.8], seed=3)
    category = category.copy()
    category[:3] = [0, 0, 2]
    believed = []
    for lightness in (1.0, 0.5, 0.1):
        weight = np.where(annotator == 2, lightness, 1.0)
        fit = aggregate_votes(
            unit, annotator, category, units=200, annotators=3, categories=3, weight=weight
        )
        assert fit.method == "dawid_skene"
        believed.append(fit.truth[0, 2])
    assert believed[0] > 1.5 * believed[1] > 3 * believed[2] / 2


def test_weights_of_one_change_nothing_where_shares_decide() -> None:
    votes = (np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([2, 2, 0]))
    size = {"units": 1, "annotators": 3, "categories": 3}
    plain = aggregate_votes(*votes, **size)
    assert plain.method == "vote_shares"
    same = aggregate_votes(*votes, weight=np.ones(3), **size)
    heavier = aggregate_votes(*votes, weight=np.array([1.0, 1.0, 5.0]), **size)
    assert same.truth.tolist() == plain.truth.tolist()
    assert heavier.truth[0, 0] > 0.5 > plain.truth[0, 0]


def test_few_votes_fall_back_to_shares_with_a_reason() -> None:
    fit = fit_crowd((np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([2, 2, 0])), 2, 3)
    assert fit.method == "vote_shares"
    assert fit.reason.startswith("Only 1 items have two votes")
    first = probability_first(fit.answer)
    assert 0.5 < first[0] < 2 / 3
    assert fit.answer.sum(axis=1) == pytest.approx([1, 1])
    assert fit.weight.tolist() == [1, 1, 1]


def test_many_annotators_with_few_votes_fall_back() -> None:
    _, (unit, _, category) = crowd(100, [0.9, 0.9])
    fit = fit_crowd((unit, np.arange(200) // 3, category), 100, 67)
    assert fit.reason.startswith("Most votes come from annotators with fewer than 15 votes")


def test_no_votes() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    fit = fit_crowd((nothing, nothing, nothing), 2, 0)
    assert probability_first(fit.answer) == pytest.approx([0.5, 0.5])


@given(seed=st.integers(0, 1000), people=st.integers(1, 4), units=st.integers(1, 40))
def test_probabilities_are_probabilities(seed: int, people: int, units: int) -> None:
    _, (unit, annotator, category) = crowd(units, [0.5] * people, seed=seed)
    fit = dawid_skene(unit, annotator, category, units=units, annotators=people, categories=3)
    for table in (fit.truth, fit.answer, fit.confusion):
        assert table.sum(axis=-1) == pytest.approx(np.ones(table.shape[:-1]))
        assert table.min() >= 0


@pytest.mark.parametrize(
    ("counts", "absolute", "plurality"),
    [
        ([0, 0, 3], 2, 2),
        ([1, 1, 2], NO_MAJORITY, 2),
        ([2, 0, 2], NO_MAJORITY, NO_MAJORITY),
        ([0, 3, 1], 1, 1),
        ([0, 0, 0], NO_MAJORITY, NO_MAJORITY),
    ],
)
def test_majority(counts: list[int], absolute: int, plurality: int) -> None:
    table = np.array([counts], float)
    assert majority(table)[0] == absolute
    assert majority(table, rule="plurality")[0] == plurality


def test_lists() -> None:
    nan = np.nan
    ranks = np.array([[1, 2, 3, nan], [1, 3, 2, nan], [2, 1, 1, 4]])
    unit = np.array([0, 0, 2])
    joined = aggregate_lists(unit, ranks, units=3)
    assert joined.votes.tolist() == [2, 0, 1]
    assert joined.mean_rank[0, :3] == pytest.approx([1, 2.5, 2.5])
    assert joined.mean_rank[2] == pytest.approx([3, 1.5, 1.5, 4])
    assert joined.borda[0, :3] == pytest.approx([1, 0.25, 0.25])
    assert joined.preferred[0, 0, 1] == pytest.approx(2.5 / 3)
    assert joined.preferred[0, 1, 2] == pytest.approx(0.5)
    assert joined.preferred[2, 3, 0] == pytest.approx(0.25)
    assert np.isnan(joined.preferred[0, 0, 3])
    assert np.isnan(joined.mean_rank[1]).all()


@given(seed=st.integers(0, 1000))
def test_preferences_of_a_pair_sum_to_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranks: Floats = rng.integers(1, 4, size=(12, 4)).astype(float)
    table = aggregate_lists(np.arange(12) // 3, ranks, units=4, weight=rng.random(12)).preferred
    off = ~np.eye(4, dtype=bool)
    assert (table + table.transpose(0, 2, 1))[:, off] == pytest.approx(np.ones((4, 12)))


def test_a_weightless_ranking_does_not_count() -> None:
    ranks = np.array([[1.0, 2], [2, 1]])
    joined = aggregate_lists(np.zeros(2, int), ranks, units=1, weight=np.array([1.0, 0]))
    assert joined.mean_rank[0].tolist() == [1, 2]


def test_thumbs() -> None:
    assert share_of_ups(np.array([0.0, 1, 9]), np.array([0.0, 1, 10])) == pytest.approx(
        [0.5, 0.75, 9.5 / 11]
    )
