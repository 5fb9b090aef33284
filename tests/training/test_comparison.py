"""What stands beside the figures of runs that are compared."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.cast import Cast
from tests.training.conftest import Launch
from tests.training.test_promotion import make_version
from training.models import Evaluation, ModelVersion, TrainingRun
from training.selectors.comparison import result_rows

NATS = "nats an answer"
BY_CHANCE = "a KL is never below 0"


def evaluated(run: TrainingRun, cast: Cast, number: int, kl: float | None) -> TrainingRun:
    version = make_version(cast, number)
    ModelVersion.objects.filter(pk=version.pk).update(run=run)
    k1 = {"value": kl, "low": None, "high": None}
    measured = {} if kl is None else {"kl": {"k1": k1, "unit": NATS}}
    figures = {"held_out": {"examples": 11}, **measured}
    Evaluation.objects.create(version=version, snapshot=run.snapshot, figures=figures)
    return run


@pytest.mark.parametrize(
    ("kls", "shared", "doubtful"),
    [((0.2, 0.3), NATS, []), ((-0.2, 0.3), "", [0]), ((-0.2, None), "", [0])],
)
def test_a_note_on_one_runs_figure_stands_at_that_run(
    cast: Cast, client: Client, launch: Launch, kls: tuple[float, float | None], shared: str,
    doubtful: list[int],
) -> None:  # fmt: skip
    runs = [evaluated(launch(), cast, number, kl) for number, kl in enumerate(kls, start=1)]
    (row,) = result_rows(runs)
    assert row.note == shared
    client.force_login(cast.ada)
    url = reverse("training:compare", args=[cast.project.pk])
    shown = client.get(url, {"run": [run.pk for run in runs]}).text
    _, *cells = shown[shown.index("KL from the reference (k1)") :].split("<td", 3)[:3]
    assert [place for place, cell in enumerate(cells) if BY_CHANCE in cell] == doubtful
