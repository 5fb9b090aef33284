"""The assembled report: on real people's votes, and on small tables made for one point each."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from feedback.statistics.agreement import AgreementFigures, agreement_report
from feedback.statistics.arrays import Floats
from feedback.statistics.ballots import Kind, VoteTable
from feedback.statistics.bootstrap import MAXIMUM_GROUPS, ClusterBootstrap, Estimate
from feedback.statistics.raters import cohen_kappa, cross_table
from tests.real_data import real_data_folder

VECTORS = Path(__file__).parents[2] / "data" / "agreement_vectors.json"
SIGN = {"left": 1, "tie": 0, "right": -1}


def expected(name: str) -> dict[str, Any]:
    vectors = json.loads(VECTORS.read_text())["vectors"]
    return dict(next(v["expected"] for v in vectors if v["id"] == name))


@pytest.fixture(scope="module")
def real_data() -> Path:
    return real_data_folder()


def table(
    unit: Any, rater: Any, value: Any, *, cluster: Any = None, is_judge: Any = None
) -> VoteTable:
    units = np.asarray(unit, dtype=np.int64)
    return VoteTable(
        unit=units,
        rater=np.asarray(rater, dtype=np.int64),
        value=np.asarray(value, dtype=np.float64),
        cluster=units if cluster is None else np.asarray(cluster, dtype=np.int64),
        is_judge=np.zeros(len(units), bool) if is_judge is None else np.asarray(is_judge),
    )


def value(estimate: Estimate) -> float:
    assert estimate.value is not None, estimate.reason
    return estimate.value


def llmfao(folder: Path) -> AgreementFigures:
    """Report on the crowd of llmfao with its two judges as raters 1000 (GPT-4) and 1001."""
    files = {"crowd": None, "gpt4-crowd": 1000, "gpt3-crowd": 1001}
    rows = []
    for name, judge in files.items():
        with (folder / "llmfao" / f"{name}-comparisons.csv").open() as lines:
            for row in csv.DictReader(lines):
                rater = int(row["worker"]) if judge is None else judge
                rows.append((int(row["id"]), rater, SIGN[row["winner"]], int(row["prompt"])))
    unit, rater, sign, prompt = np.array(rows).T
    return agreement_report(
        table(unit, rater, sign, cluster=prompt, is_judge=rater >= 1000), kind="pairwise"
    )


def test_llmfao_crowd(real_data: Path) -> None:
    figures, known = llmfao(real_data), expected("real_llmfao_crowd")
    people = figures.people
    assert (people.votes, people.raters, people.units) == (8931, 124, 2139)
    assert value(people.estimates["alpha_nominal"]) == pytest.approx(
        known["alpha_nominal"], abs=5e-5
    )
    assert value(people.estimates["alpha_ordinal"]) == pytest.approx(
        known["alpha_ordinal"], abs=5e-6
    )
    # The published percentages pool all pairs of votes; the mean over pairs of responses is
    # another number (0.529 and 0.674).
    assert value(people.estimates["percent"]) == pytest.approx(
        known["pairwise_agreement"], abs=5e-5
    )
    no_ties = people.estimates["percent_no_ties"]
    assert value(no_ties) == pytest.approx(known["pairwise_agreement_no_ties"], abs=5e-5)
    assert value(people.estimates["percent_by_unit"]) == pytest.approx(0.52856, abs=5e-6)
    assert no_ties.low is not None
    assert no_ties.high is not None
    assert no_ties.low < value(no_ties) < no_ties.high


def test_llmfao_judges_read_beside_people_on_the_same_items(real_data: Path) -> None:
    figures = llmfao(real_data)
    assert [judge.rater for judge in figures.judges] == [1000, 1001]
    for judge in figures.judges:
        assert judge.units_compared == 2139
        assert value(judge.with_people["percent"]) < value(
            judge.people_on_same_items["percent_by_unit"]
        )
    gpt4, gpt3 = figures.judges
    assert value(gpt4.with_people["alpha_ordinal"]) > value(gpt3.with_people["alpha_ordinal"])


def test_pandalm(real_data: Path) -> None:
    known = expected("real_pandalm_test")
    rows = json.loads((real_data / "pandalm" / "testset-v1.json").read_text())
    answers = np.array([[row[f"annotator{n}"] for n in (1, 2, 3)] for row in rows])
    sign = np.choose(answers, [0, 1, -1])  # 0 tie, 1 and 2 the better response
    unit = np.repeat(np.arange(len(rows)), 3)
    votes = table(unit, np.tile([0, 1, 2], len(rows)), sign.ravel())
    figures = agreement_report(votes, kind="pairwise").people
    assert (figures.units, figures.raters) == (known["n_items"], known["n_annotators"])
    found = {name: value(figures.estimates[name]) for name in ("alpha_nominal", "percent")}
    assert found["alpha_nominal"] == pytest.approx(known["alpha_nominal"], abs=5e-6)
    assert found["percent"] == pytest.approx(known["pairwise_agreement"], abs=5e-6)
    ordinal = value(figures.estimates["alpha_ordinal"])
    assert ordinal == pytest.approx(known["alpha_ordinal_1_tie_2"], abs=5e-6)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        kappa = cohen_kappa(cross_table(sign[:, a] + 1, sign[:, b] + 1, categories=3)).value
        # The reference is rounded on the way (0.87895; exactly 0.878944), hence the tolerance.
        assert kappa == pytest.approx(known[f"cohen_kappa_{a + 1}{b + 1}"], abs=1e-5)


def test_squality_overall_ranks(real_data: Path) -> None:
    known = expected("real_squality_rank")
    ranks, rater, unit = [], [], []
    with (real_data / "squality" / "all-responses.jsonl").open() as lines:
        questions = [q for line in lines for q in json.loads(line)["questions"].values()]
    for number, question in enumerate(questions):
        systems = [part["reviews"] for part in question.values() if "reviews" in part]
        for reviews in zip(*systems, strict=True):
            unit.append(number)
            rater.append(int(reviews[0]["worker_id"]))
            ranks.append([review["overall-rank"] for review in reviews])
    raters = np.unique(rater, return_inverse=True)[1]
    figures = agreement_report(table(unit, raters, ranks), kind="listwise").people
    assert (figures.votes, figures.units) == (known["n_lists"], known["n_questions"])
    assert value(figures.estimates["kendall_w"]) == pytest.approx(known["mean_kendall_w"], abs=5e-6)
    assert value(figures.estimates["tau_b"]) == pytest.approx(known["mean_tau"], abs=5e-6)
    # Without ties an expanded pair agrees with probability (1 + tau) / 2.
    assert value(figures.estimates["percent"]) == pytest.approx(
        (1 + known["mean_tau"]) / 2, abs=5e-6
    )


def noisy_votes(units: int, *, seed: int = 0, per_cluster: int = 1) -> VoteTable:
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(-3, 4, units), 3)
    strength = np.clip(np.round(truth + rng.normal(0, 1.5, 3 * units)), -3, 3)
    unit = np.repeat(np.arange(units), 3)
    return table(unit, np.tile([0, 1, 2], units), strength, cluster=unit // per_cluster)


def test_strengths_get_an_alpha_of_their_own() -> None:
    figures = agreement_report(noisy_votes(200), kind="pairwise").people
    assert value(figures.estimates["alpha_strength"]) != value(figures.estimates["alpha_ordinal"])


def test_the_same_seed_gives_the_same_figures() -> None:
    votes = noisy_votes(50)
    first = agreement_report(votes, kind="pairwise", resamples=200, seed=7)
    assert first == agreement_report(votes, kind="pairwise", resamples=200, seed=7)
    other = agreement_report(votes, kind="pairwise", resamples=200, seed=8)
    assert first.people.estimates["percent"].low != other.people.estimates["percent"].low
    assert (first.resamples, first.seed, first.level) == (200, 7, 0.95)


def test_under_ten_prompts_there_is_a_reason_instead_of_a_number() -> None:
    estimate = agreement_report(noisy_votes(9), kind="pairwise").people.estimates["percent"]
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert estimate.reason == (
        "Not enough data: Only 9 prompts have answers to compare; 10 are needed."
    )


@pytest.mark.parametrize("kind", ["pairwise", "thumbs", "listwise"])
def test_no_votes_at_all(kind: Kind) -> None:
    nothing = table([], [], np.zeros((0, 4)) if kind == "listwise" else [])
    figures = agreement_report(nothing, kind=kind)
    assert (figures.people.votes, figures.people.units, figures.judges) == (0, 0, ())
    assert all(each.value is None and each.reason for each in figures.people.estimates.values())


def test_one_answer_everywhere_says_that_chance_cannot_be_told_apart() -> None:
    unit = np.repeat(np.arange(20), 2)
    votes = table(unit, np.tile([0, 1], 20), np.ones(40))
    estimates = agreement_report(votes, kind="thumbs").people.estimates
    assert value(estimates["percent"]) == 1
    assert estimates["alpha_nominal"].value is None
    assert estimates["alpha_nominal"].reason.startswith("Every answer is the same")


def test_thumbs_of_two_raters_have_kappa() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 80)
    second = np.where(rng.random(80) < 0.2, 1 - first, first)
    unit = np.tile(np.arange(80), 2)
    votes = table(unit, np.repeat([4, 9], 80), np.concatenate([first, second]))
    estimates = agreement_report(votes, kind="thumbs").people.estimates
    by_table = cohen_kappa(cross_table(first, second, categories=2)).value
    assert value(estimates["cohen_kappa"]) == pytest.approx(by_table)
    assert value(estimates["ac1"]) > 0.4


def test_a_judge_is_compared_on_shared_items_only() -> None:
    """The judge copies person 0 on items 0-19; items 20-39 it never saw are noise."""
    rng = np.random.default_rng(3)
    person = rng.integers(0, 2, 40)
    other = np.concatenate([person[:20], 1 - person[20:]])
    unit = np.concatenate([np.arange(40), np.arange(40), np.arange(20), [77]])
    rater = np.repeat([0, 1, 2], [40, 40, 21])
    values = np.concatenate([person, other, person[:20], [1]])
    votes = table(unit, rater, values, is_judge=rater == 2)
    figures = agreement_report(votes, kind="thumbs")
    (judge,) = figures.judges
    assert (judge.votes, judge.units_compared) == (21, 20)
    assert value(judge.with_people["percent"]) == 1
    assert value(judge.with_people["alpha_nominal"]) == 1
    assert value(judge.people_on_same_items["percent_by_unit"]) == 1
    assert value(figures.people.estimates["percent"]) == 0.5


def test_judge_and_people_are_compared_on_the_same_items() -> None:
    """Both people agree on items 0-19, and the judge with them; on 20-39 it contradicts one."""
    unit = np.concatenate([np.arange(40), np.arange(20), np.arange(40)])
    rater = np.repeat([0, 1, 2], [40, 20, 40])
    values = np.repeat([1, 1, -1], [60, 20, 20])
    votes = table(unit, rater, values, is_judge=rater == 2)
    (judge,) = agreement_report(votes, kind="pairwise").judges
    assert judge.units_compared == 40
    for found in (judge.with_people["percent"], judge.people_on_same_items["percent_by_unit"]):
        assert (found.value, found.units) == (1, 20)


def test_without_a_second_person_a_judge_is_compared_on_all() -> None:
    unit, rater = np.tile(np.arange(40), 2), np.repeat([0, 1], 40)
    values = np.concatenate([np.ones(40), np.repeat([1, -1], 20)])
    (judge,) = agreement_report(
        table(unit, rater, values, is_judge=rater == 1), kind="pairwise"
    ).judges
    assert value(judge.with_people["percent"]) == 0.5
    assert judge.people_on_same_items["percent_by_unit"].value is None


def test_a_judge_of_lists() -> None:
    rng = np.random.default_rng(4)
    lists = np.argsort(rng.random((30, 3)), axis=1) + 1.0
    padded = np.hstack([lists, np.full((30, 1), np.nan)])
    unit = np.tile(np.arange(30), 3)
    rater = np.repeat([0, 1, 2], 30)
    votes = table(unit, rater, np.vstack([padded, padded, 4 - padded]), is_judge=rater == 2)
    figures = agreement_report(votes, kind="listwise")
    assert value(figures.people.estimates["tau_b"]) == pytest.approx(1)
    assert value(figures.judges[0].with_people["percent"]) == 0
    assert figures.people.estimates["percent"].units == 90


def test_two_votes_of_one_rater_on_one_unit_are_refused() -> None:
    with pytest.raises(ValueError, match="voted twice"):
        table([0, 0], [1, 1], [1, 0])


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        table([0, 0], [1, 2], [1])


def mean_interval(values: Floats, cluster: Any, seed: int = 0) -> Estimate:
    return ClusterBootstrap(np.asarray(cluster), 400, seed).estimate(
        [values, np.ones_like(values)],
        lambda sums: sums[..., 0] / sums[..., 1],
        used=np.ones(len(values), bool),
        method="mean",
    )


def width(estimate: Estimate) -> float:
    assert estimate.high is not None
    assert estimate.low is not None
    return estimate.high - estimate.low


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        effect = np.repeat(rng.normal(0, 1, 40), 5)
        found = mean_interval(effect + rng.normal(0, 0.3, 200), np.repeat(np.arange(40), 5))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_many_clusters_are_pooled_without_changing_the_interval() -> None:
    """Compare with the normal interval of the mean of cluster means, exact for equal clusters."""
    rng = np.random.default_rng(12)
    clusters = 3 * MAXIMUM_GROUPS + 17
    effect = rng.normal(0, 1, clusters)
    values, cluster = np.repeat(effect, 2), np.repeat(np.arange(clusters), 2)
    by_theory = 2 * stats.norm.ppf(0.975) * effect.std() / np.sqrt(clusters)
    assert width(mean_interval(values, cluster)) == pytest.approx(by_theory, rel=0.15)
    naive = width(mean_interval(values, np.arange(len(values))))
    assert naive < 0.85 * by_theory
