"""Agreement through the whole path: from rows to kept figures, on made and on real votes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation.models import Kind, Project
from core import jobs
from core.models import Job
from feedback.models import AgreementReport, Resolution
from feedback.services.measure_agreement import measure_agreement
from feedback.services.resolve_items import resolve_items
from feedback.tasks import look_for_news
from feedback.verdicts import figure_rows, judge_verdict, people_verdict, shown
from tests.cast import Cast, make_user
from tests.feedback.votes import judge_annotator, judged, vote
from tests.real_data import real_data_folder

VECTORS = {
    one["id"]: one["expected"]
    for one in json.loads(
        (Path(__file__).parent.parent / "data" / "agreement_vectors.json").read_text()
    )["vectors"]
}


def test_it_works(cast: Cast) -> None:
    for number in range(12):
        item = judged(cast.project, Kind.PAIRWISE, 2, 2 if number % 2 else -2)
        vote(item, judge_annotator(), 1)
    (report,) = measure_agreement(project=cast.project)
    people = report.figures["people"]
    assert (report.judgments, people["raters"], people["units"]) == (36, 2, 12)
    assert people["estimates"]["percent"]["value"] == 0.5
    (judge,) = report.figures["judges"]
    assert (judge["name"], judge["with_people"]["percent"]["value"]) == ("gpt-4 v1", 0.75)


def test_a_page_has_one_percentage(cast: Cast) -> None:
    """Ten items of two who agree, and ten of four who are evenly divided (two pairs of six agree):
    two thirds as a mean of items, 30 of 70 of all pairs."""
    for number in range(20):
        item = judged(cast.project, Kind.PAIRWISE, *((2, 2) if number < 10 else (2, 2, -2, -2)))
        vote(item, judge_annotator(), 2)
    (report,) = measure_agreement(project=cast.project)
    assert "answer alike in 67 % of cases" in people_verdict(report.figures)
    (judge,) = map(judge_verdict, report.figures["judges"])
    assert "(67 % on the same items)" in judge
    rows = {one.name: one.value for one in figure_rows(report.figures) if one.between == "People"}
    assert rows["Percent, ties kept"] == "66.7 %"
    assert rows["Percent, ties kept, all pairs of answers pooled"] == "42.9 %"


def test_a_negative_number_has_a_minus() -> None:
    assert shown("alpha_nominal", -0.25) == "\N{MINUS SIGN}0.250"


def test_all_kinds(cast: Cast) -> None:
    for _ in range(10):
        judged(cast.project, Kind.PAIRWISE, 2, 1)
        judged(cast.project, Kind.THUMBS, 1, 1)
        judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 2, 3])
    kinds = {report.kind: report.figures for report in measure_agreement(project=cast.project)}
    assert set(kinds) == {"pairwise", "thumbs", "listwise"}
    assert kinds["listwise"]["people"]["estimates"]["kendall_w"]["value"] == pytest.approx(1)
    assert kinds["thumbs"]["people"]["estimates"]["percent"]["value"] == 1


def test_too_little_says_so(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 2, 2)
    (report,) = measure_agreement(project=cast.project)
    alpha = report.figures["people"]["estimates"]["alpha_nominal"]
    assert (alpha["value"], "Not enough data" in alpha["reason"]) == (None, True)


def test_nothing_gives_no_report(cast: Cast) -> None:
    assert measure_agreement(project=cast.project) == []


def test_the_order_of_ids_does_not_matter(cast: Cast) -> None:
    """Imported votes give their source's figures, whichever response has the smaller id."""
    rng = [(3, 1), (-2, 1), (0, 1), (2, 2), (-1, -1), (3, 3), (-3, 0), (1, -1), (2, 1), (1, 0)]
    figures = []
    for flip in (1, -1):
        project = Project.objects.create(name="Same votes", overlap=2)
        project.protocols.create(kinds=["pairwise"], criteria=[{"key": "overall", "name": "O"}])
        for values in rng:
            item = judged(project, Kind.PAIRWISE, *(flip * value for value in values))
            if flip < 0:
                item.assignments.update(shown_order=[1, 0])
        (report,) = measure_agreement(project=project)
        figures.append(report.figures["people"]["estimates"]["alpha_ordinal"]["value"])
    assert figures[0] == pytest.approx(figures[1])


def test_measured_in_the_background_when_judgments_changed(cast: Cast) -> None:
    judged(cast.project, Kind.PAIRWISE, 2, 2)
    for _ in range(2):
        look_for_news()
    (job,) = Job.objects.filter(kind="resolve_items")
    jobs.run(job.pk)
    for _ in range(2):
        look_for_news()
    (job,) = Job.objects.filter(kind="measure_agreement")
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded"
    report = AgreementReport.objects.get()
    assert report.created_at > Resolution.objects.get().judged_at
    look_for_news()
    assert Job.objects.count() == 2


def test_the_command(cast: Cast, capsys: Any) -> None:
    for number in range(10):
        judged(cast.project, Kind.PAIRWISE, 2 - number % 3, 2 - number % 3)
    call_command("agreement", str(cast.project.pk))
    assert "two who judge the same item answer alike in 100 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "vector", "names"),
    [
        ("llmfao", "real_llmfao_crowd", {
            "alpha_nominal": "alpha_nominal", "alpha_ordinal": "alpha_ordinal",
            "pairwise_agreement": "percent", "pairwise_agreement_no_ties": "percent_no_ties",
        }),
        ("pandalm", "real_pandalm_test", {
            "alpha_nominal": "alpha_nominal", "alpha_ordinal_1_tie_2": "alpha_ordinal",
            "pairwise_agreement": "percent",
        }),
        ("squality", "real_squality_rank", {
            "mean_kendall_w": "kendall_w", "mean_tau": "tau_b",
        }),
    ],
)  # fmt: skip
def test_real_data(db: None, data: str, vector: str, names: dict[str, str]) -> None:
    folder = real_data_folder() / data
    make_user("rosa", can_create_projects=True)
    call_command(
        "import_data", str(folder), format=data, create_project=data, username="rosa", verbosity=0
    )
    project = Project.objects.get(name=data)
    by_criterion = {one.criterion: one.figures for one in measure_agreement(project=project)}
    people = by_criterion["overall"]["people"]
    for name, ours in names.items():
        figure = people["estimates"][ours]["value"]
        assert figure == pytest.approx(VECTORS[vector][name], abs=5e-5)
    if data == "llmfao":
        assert (people["votes"], people["raters"]) == (8931, 124)
        assert [judge["name"] for judge in by_criterion["overall"]["judges"]] == [
            "GPT-4 (llmfao) v1", "GPT-3.5 (llmfao) v1",
        ]  # fmt: skip
    assert resolve_items(project=project).states["accepted"] > 100
