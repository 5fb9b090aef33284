"""Sweeps: one run for each point of a grid, their page, stopping them all; runs side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.errors import PrefloopError
from core.models import Job
from feedback.models import Snapshot
from tests.api import Api
from tests.cast import Cast
from tests.training.conftest import QUICK, TINY
from tests.training.test_pages import form_data
from tests.training.test_promotion import make_version
from training.models import Evaluation, MetricPoint, ModelVersion, Sample, Sweep, TrainingRun
from training.selectors.sweep import sweep_table
from training.services import queue_sweep, stop_sweep
from training.services.client_key import KeyUsed
from training.services.sweep import MOST_RUNS, grid_points

GRID: dict[str, list[Any]] = {"learning_rate": [1e-5, 1e-4], "beta": [0.1, 0.5]}

pytestmark = pytest.mark.usefixtures("tiny_model_folder")


def start(cast: Cast, snapshot: Snapshot, **changes: Any) -> Sweep:
    asked: dict[str, Any] = {
        "project": cast.project, "snapshot": snapshot, "method": "dpo", "criterion": "overall",
        "base_model": TINY, "config": QUICK, "created_by": cast.ada, "grid": GRID,
    }  # fmt: skip
    return queue_sweep(**asked | changes)


@pytest.fixture
def sweep(cast: Cast, snapshot: Snapshot) -> Sweep:
    return start(cast, snapshot, name="Rates")


@pytest.fixture
def admin(cast: Cast, client: Client) -> Client:
    client.force_login(cast.ada)
    return client


def measure(run: TrainingRun, **values: float) -> None:
    for name, value in values.items():
        MetricPoint.objects.create(run=run, step=6, name=name, value=value)


def finish(run: TrainingRun) -> None:
    Job.objects.filter(pk=run.job_id).update(state="succeeded", finished_at=timezone.now())


def test_one_run_for_each_point(sweep: Sweep) -> None:
    runs = sweep.runs.order_by("pk")
    found = [(run.config["learning_rate"], run.config["hyperparameters"]["beta"]) for run in runs]
    assert found == [(1e-5, 0.1), (1e-5, 0.5), (1e-4, 0.1), (1e-4, 0.5)]
    assert runs[0].name == "learning_rate 1e-05, beta 0.1"
    assert all(run.config["max_steps"] == QUICK["max_steps"] for run in runs)


def test_a_double_click_makes_one_sweep(cast: Cast, snapshot: Snapshot) -> None:
    first, second = (start(cast, snapshot, client_key="once-only") for _ in range(2))
    assert first == second
    assert TrainingRun.objects.count() == 4


@pytest.mark.parametrize(
    "changes",
    [{"grid": {"beta": [0.1, 0.2]}}, {"config": QUICK | {"max_steps": 5}}, {"name": "Other"}],
)
def test_a_key_stands_for_the_sweep_it_came_with(
    cast: Cast, snapshot: Snapshot, changes: dict[str, Any]
) -> None:
    first = start(cast, snapshot, client_key="once-only")
    with pytest.raises(KeyUsed, match=f"Sweep {first.pk} was started under this client_key"):
        start(cast, snapshot, client_key="once-only", **changes)
    assert TrainingRun.objects.count() == 4


def test_a_long_default_name_is_cut(cast: Cast, snapshot: Snapshot) -> None:
    names = ("learning_rate", "value_learning_rate", "sample_max_new_tokens", "checkpoint_every",
             "gradient_accumulation")  # fmt: skip
    grid = {name: [1] if "rate" not in name else [1e-5] for name in names}
    assert len(start(cast, snapshot, grid=grid).name) == 100


def test_all_points_or_none(cast: Cast, snapshot: Snapshot) -> None:
    with pytest.raises(PrefloopError, match="learning_rate"):
        start(cast, snapshot, grid={"learning_rate": [1e-5, -1.0]})
    with pytest.raises(PrefloopError, match="unknown option"):
        start(cast, snapshot, grid={"gamma": [1, 2]})
    assert not Sweep.objects.exists()
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({}, "at least one setting"),
        ({"beta": []}, "at least one setting"),
        ({"beta": [0.1, 0.1]}, "twice"),
        ({"seed": list(range(MOST_RUNS + 1))}, "at most 32"),
        ({str(name): list(range(1000)) for name in range(9)}, "at most 32"),
        ({"beta": [0.1, float("inf")]}, "finite"),
        ({"beta": [0.1, float("nan")]}, "finite"),
    ],
)
def test_a_grid_that_is_none(grid: dict[str, list[Any]], words: str) -> None:
    with pytest.raises(PrefloopError, match=words):
        grid_points(grid)


def test_nothing_is_best_before_a_run_is_over(admin: Client, sweep: Sweep) -> None:
    url = reverse("training:sweep", args=[sweep.project_id, sweep.pk])
    empty = admin.get(url).text
    assert "Nothing is measured yet" in empty
    assert "is better" not in empty
    assert "Compare the first 4" in empty
    run = sweep.runs.order_by("pk")[0]
    measure(run, held_out_accuracy=0.5)
    assert not sweep_table(sweep).has_best
    finish(run)
    assert sweep_table(sweep).has_best
    assert "Compare the best 4" in admin.get(url).text


def test_the_best_comes_first(sweep: Sweep) -> None:
    first, second, third, _ = sweep.runs.order_by("pk")
    for run, accuracy, loss in ((first, 0.6, 0.5), (second, 0.9, 0.6), (third, 0.7, 0.4)):
        measure(run, held_out_accuracy=accuracy, held_out_loss=loss, grad_norm=1.0)
        finish(run)
    table = sweep_table(sweep)
    assert table.metric == "held_out_accuracy"
    assert [row.value for row in table.rows] == [0.9, 0.7, 0.6, None]
    assert [row.is_best for row in table.rows] == [True, False, False, False]
    assert table.metrics == ["held_out_accuracy", "held_out_loss"]
    by_loss = sweep_table(sweep, "held_out_loss")
    assert [row.run for row in by_loss.rows][:3] == [third, first, second]
    assert by_loss.less_is_better


def test_an_online_sweep_is_ordered_by_what_its_answers_are_worth(
    cast: Cast, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by an alarm, nor by a spread, nor by one step's reward of training."""
    monkeypatch.setenv("PREFLOOP_VERIFIERS", "mine=json:loads")
    sources = {"right": {"kind": "verifier", "verifier": "mine"}, "short": {"kind": "length"}}
    config = QUICK | {"max_new_tokens": 40, "reward_sources": sources}
    sweep = start(cast, snapshot, method="grpo", config=config, grid={"seed": [1, 2]})
    worst, best = sweep.runs.order_by("pk")
    held_out = {"held_out_reward": 0.7, "held_out_reward_right": 0.5, "held_out_reward_short": -0.1}
    measure(best, reward=0.1, reward_std=0.1, rewards_parted=0.0, **held_out)
    misleading = {"rewards_parted": 1.0, "reward_std": 0.9, "reward_right_timed_out": 1.0}
    measure(worst, reward=0.9, held_out_reward=0.2, held_out_kl_k3=0.0, **misleading)
    finish(best)
    table = sweep_table(sweep)
    assert table.metrics == ["held_out_reward", "held_out_reward_right", "reward"]
    assert table.metric == "held_out_reward"
    assert [(row.run, row.is_best) for row in table.rows] == [(best, True), (worst, False)]


def test_stop_all(sweep: Sweep, cast: Cast) -> None:
    done = sweep.runs.order_by("pk")[0]
    Job.objects.filter(pk=done.job_id).update(state="succeeded", finished_at=timezone.now())
    assert stop_sweep(sweep=sweep, actor=cast.ada) == 3
    states = sweep.runs.order_by("pk").values_list("job__state", flat=True)
    assert list(states) == ["succeeded", *["cancelled"] * 3]


def test_its_page(admin: Client, sweep: Sweep) -> None:
    measured = sweep.runs.order_by("pk")[1]
    measure(measured, held_out_accuracy=0.875)
    finish(measured)
    url = reverse("training:sweep", args=[sweep.project_id, sweep.pk])
    shown = admin.get(url).content.decode()
    named = "learning_rate 1e-05, beta 0.5"
    columns = (">Learning rate<", ">Beta<")
    for words in ("Rates", named, *columns, "0.8750", "held-out accuracy", "best", "Stop all"):
        assert words in shown
    live = reverse("training:sweep-live", args=[sweep.project_id, sweep.pk])
    assert admin.get(live).status_code == 200
    admin.post(reverse("training:sweep-stop", args=[sweep.project_id, sweep.pk]))
    ended = admin.get(live)
    assert (ended.status_code, ended["HX-Refresh"]) == (286, "true")
    runs = reverse("training:project-runs", args=[sweep.project_id])
    assert admin.get(runs).text.count("of Rates") == sweep.runs.count()


def test_from_the_form(admin: Client, cast: Cast, snapshot: Snapshot) -> None:
    url = reverse("training:launch", args=[cast.project.pk])
    given = form_data(admin.get(url).content.decode()) | {"base_model": TINY, "max_steps": "2"}
    for word in ("NaN", "1e400"):
        refused = admin.post(url, given | {"sweep_1": "beta", "sweep_1_values": f"0.1, {word}"})
        assert refused.status_code == 422
    half = admin.post(url, given | {"sweep_1": "beta"})
    assert half.status_code == 422
    assert "A sweep needs both" in half.content.decode()
    given |= {"sweep_1": "beta", "sweep_1_values": "0.1, 0.3, 0.5"}
    estimate = admin.get(reverse("training:launch-estimate", args=[cast.project.pk]), given)
    assert "the largest of 3 runs" in estimate.content.decode()
    response = admin.post(url, given)
    made = Sweep.objects.get()
    assert response["Location"] == reverse("training:sweep", args=[cast.project.pk, made.pk])
    assert made.grid == {"beta": [0.1, 0.3, 0.5]}
    assert made.runs.count() == 3


@pytest.mark.parametrize(
    ("values", "row", "words"),
    [
        ({"sweep_1": "beta", "sweep_1_values": "low, high"}, 1, "Enter a number"),
        ({"sweep_2": "batch_size", "sweep_2_values": "2, 2.5"}, 2, "Enter a whole number"),
        ({"sweep_2": "beta", "sweep_2_values": "0.1, 0.1"}, 2, "stands twice"),
        # No field of a form refuses it; the service does.
        ({"sweep_2": "beta", "sweep_2_values": "0.1, true"}, 2, "not a number"),
    ],
)
def test_a_wrong_value_is_told_beside_the_values(
    admin: Client, cast: Cast, snapshot: Snapshot, values: dict[str, str], row: int, words: str
) -> None:
    url = reverse("training:launch", args=[cast.project.pk])
    given = form_data(admin.get(url).content.decode()) | {"base_model": TINY}
    form = admin.post(url, given | values).context["form"]
    assert list(form.errors) == [f"sweep_{row}_values"]
    assert words in form.errors[f"sweep_{row}_values"][0]


@pytest.fixture
def compared(sweep: Sweep, cast: Cast) -> list[TrainingRun]:
    """Two runs of the sweep, evaluated and sampled."""
    runs = list(sweep.runs.order_by("pk")[:2])
    for number, run in enumerate(runs, start=1):
        version = make_version(cast, number)
        ModelVersion.objects.filter(pk=version.pk).update(run=run)
        accuracy = {"value": 0.5 + number / 10, "low": 0.4, "high": 0.9}
        figures = {"held_out": {"examples": 11, "accuracy": accuracy}}
        Evaluation.objects.create(version=version, snapshot=run.snapshot, figures=figures)
        for step in (1, 2):
            MetricPoint.objects.create(run=run, step=step, name="loss", value=0.6 / step)
        Sample.objects.create(
            run=run, position=0, prompt_messages=[{"role": "user", "content": "Why?"}],
            policy_text=f"Answer of run {number}.", reference_text="Before.",
        )  # fmt: skip
    return runs


def test_runs_side_by_side(admin: Client, compared: list[TrainingRun]) -> None:
    url = reverse("training:compare", args=[compared[0].project_id])
    shown = admin.get(url, {"run": [run.pk for run in compared]}).content.decode()
    for words in ("0.60", "0.70", "0.40 to 0.90", "Loss: training", "Answer of run 1.",
                  "Answer of run 2."):  # fmt: skip
        assert words in shown
    differing = shown[shown.index("Differs") : shown.index("equal settings")]
    assert "beta" in differing
    assert "learning rate" not in differing


def test_runs_that_wait_say_so_side_by_side(admin: Client, sweep: Sweep) -> None:
    runs = list(sweep.runs.order_by("pk")[:2])
    url = reverse("training:compare", args=[sweep.project_id])
    shown = admin.get(url, {"run": [run.pk for run in runs]}).text
    assert shown.count("waiting") == 2
    assert "They answer when they are trained" in shown
    for words in ("answer the same ones", "95 % bootstraps"):
        assert words not in shown
    for run in runs:
        finish(run)
    assert "answer the same ones" in admin.get(url, {"run": [run.pk for run in runs]}).text


@pytest.mark.parametrize("count", [0, 1, 7])
def test_two_to_six_are_compared(admin: Client, cast: Cast, count: int) -> None:
    url = reverse("training:compare", args=[cast.project.pk])
    response = admin.get(url, {"run": list(range(1, count + 1))}, follow=True)
    assert f"Choose 2 to 6 runs to compare, not {count}" in response.content.decode()


def test_runs_of_another_project_are_not_compared(
    admin: Client, compared: list[TrainingRun]
) -> None:
    from tests.cast import make_project

    url = reverse("training:compare", args=[make_project(name="Other").pk])
    response = admin.get(url, {"run": [run.pk for run in compared]}, follow=True)
    assert "not of this project" in response.content.decode()


def test_by_rest(cast: Cast, snapshot: Snapshot) -> None:
    ada, mary = Api(cast.ada), Api(cast.mary)
    body = {
        "snapshot": snapshot.pk, "method": "dpo", "criterion": "overall", "base_model": TINY,
        "config": QUICK, "grid": {"beta": [0.1, 0.3]},
    }  # fmt: skip
    path = f"projects/{cast.project.pk}/sweeps"
    assert mary.post(path, body).status_code == 403
    assert ada.post(path, body | {"grid": {"beta": 0.1}}).status_code == 400
    answer = ada.post(path, body)
    assert answer.status_code == 201, answer.content
    assert len(answer.json()["runs"]) == 2
    for wrong in ({"method": "none"}, {"config": {"hyperparameters": 5}}):
        assert ada.post(path, body | wrong).status_code == 400
    assert ada.post(path, json.dumps(body).replace("0.3", "1e400")).status_code == 400
    number = answer.json()["id"]
    assert mary.get(f"sweeps/{number}").json()["grid"] == {"beta": [0.1, 0.3]}
    assert Api(cast.mallory).get(f"sweeps/{number}").status_code == 404
    stopped = ada.post(f"sweeps/{number}/stop", {}).json()
    assert {run["job"]["state"] for run in stopped["runs"]} == {"cancelled"}
    recipe = {"snapshot": snapshot.pk, "criterion": "overall", "base_model": TINY, "sft": QUICK}
    answer = ada.post(f"projects/{cast.project.pk}/recipes", recipe)
    assert answer.status_code == 201, answer.content
    number = answer.json()["id"]
    assert answer.json()["steps"][0]["method"] == "sft"
    assert ada.post(f"recipes/{number}/stop", {}).json()["stopped_at"] is not None
    assert ada.post(f"recipes/{number}/resume", {}).json()["stopped_at"] is None
    assert ada.get(f"recipes/{number}").json()["steps"][1]["run"] is None
