"""Judges' cards of real verdicts, beside what was published of them."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from annotation.models import Item, Project
from feedback.selectors.judges import judge_row
from feedback.services.measure_judges import measure_judges
from tests.cast import make_user
from tests.feedback.judging import figures, value
from tests.real_data import real_data_folder

# shared/reference/judges_agreement.md, A2: of 2,139 pairs of llmfao and of 999 of pandalm.
REFERENCE = {
    "GPT-4 (llmfao) v1": {"majority": 0.387, "majority_decisive": 0.746, "kappa_decisive": 0.49},
    "GPT-3.5 (llmfao) v1": {"majority_decisive": 0.631},
    "GPT-3.5 turbo (pandalm) v1": {"majority": 0.716, "kappa": 0.49},
    "PandaLM 7B (pandalm) v1": {"majority": 0.668},
}
# Half a unit of the last digit that is given there.
TOLERANCE = {"majority": 5e-4, "majority_decisive": 5e-4, "kappa": 5e-3, "kappa_decisive": 5e-3}


@pytest.mark.parametrize("data", ["llmfao", "pandalm"])
def test_real_verdicts_give_the_published_figures(db: None, data: str) -> None:
    make_user("rosa", can_create_projects=True)
    call_command(
        "import_data", str(real_data_folder() / data), format=data, create_project=data,
        username="rosa", verbosity=0,
    )  # fmt: skip
    project = Project.objects.get(name=data)
    reports = {str(report.judge): report for report in measure_judges(project=project)}
    assert set(reports) == {name for name in REFERENCE if data in name}
    for name, report in reports.items():
        for key, expected in REFERENCE[name].items():
            assert value(report, key) == pytest.approx(expected, abs=TOLERANCE[key]), (name, key)
        assert not judge_row(project, report.judge).is_open
    # No generator of pandalm is its judges'.
    own = {name: figures(report)["own"] for name, report in reports.items()}
    assert all((one["units"] > 0) == (data == "llmfao") for one in own.values()), own
    crowd = {"llmfao": 0.389, "pandalm": 0.109}[data]
    tied = [value(report, "people_ties") for report in reports.values()]
    assert max(one or 0 for one in tied) == pytest.approx(crowd, abs=1e-3)
    assert Item.objects.filter(project=project).count() == {"llmfao": 2139, "pandalm": 999}[data]
