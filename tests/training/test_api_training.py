"""Methods, runs, versions and the loop by REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Response
from core.models import Job
from tests.api import Api, World, make_version, make_world
from tests.cast import Cast, make_project
from training.models import Evaluation, MetricPoint, ModelVersion, Promotion, Sample, TrainingRun


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def ada(cast: Cast) -> Api:
    return Api(cast.ada)


@pytest.fixture
def path(world: World) -> str:
    return world.path("projects/{project}")


def launch(world: World, ada: Api, **changes: Any) -> Any:
    body = {
        "snapshot": world.snapshot.pk,
        "method": "dpo",
        "criterion": "overall",
        "base_model": "version:1",
        "config": {"max_steps": 3, "device": "cpu", "hyperparameters": {"beta": 0.2}},
    }
    return ada.post(world.path("projects/{project}/runs"), {**body, **changes})


def test_methods(cast: Cast) -> None:
    """The registry, with the help of every field."""
    told = Api(cast.bob).get("methods").json()
    dpo = next(one for one in told["methods"] if one["name"] == "dpo")
    assert dpo["data"] == "pairs"
    beta = next(one for one in dpo["hyperparameters"] if one["name"] == "beta")
    assert (beta["type"], beta["default"]) == ("float", 0.1)
    options = {one["name"]: one for one in told["options"]}
    assert all(one["help"] for one in options.values())
    assert "learning_rate" in options
    assert not {"output_dir", "base_model", "train_file", "method"} & set(options)


def test_base_models(world: World, ada: Api, path: str) -> None:
    models = {one["name"]: one for one in ada.get(f"{path}/base-models").json()["models"]}
    assert {"version:1", "version:2"} <= set(models)
    assert all("/" not in one["title"] for one in models.values())


def test_launch(world: World, ada: Api) -> None:
    answer = launch(world, ada, name="First", client_key="once-only")
    assert answer.status_code == 201
    run = TrainingRun.objects.get(pk=answer.json()["id"])
    assert (run.name, run.config["max_steps"], run.config["hyperparameters"]["beta"]) == (
        "First",
        3,
        0.2,
    )
    assert answer.json()["job"]["state"] == "queued"
    assert launch(world, ada, client_key="once-only").json()["id"] == run.pk
    assert ada.get(f"runs/{run.pk}").json() == answer.json()
    refused = launch(world, ada, client_key="once-only", name="Second")
    assert refused.status_code == 409
    assert f"Run {run.pk} was started under this client_key" in refused.content.decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"snapshot": 10**6}, "snapshot"),
        ({"snapshot": "1"}, "snapshot"),
        ({"method": "magic"}, "method"),
        ({"config": {"learning_rte": 1}}, "learning_rte"),
        ({"config": {"batch_size": 0}}, "batch_size"),
        ({"config": {"output_dir": "/etc"}}, "output_dir"),
        ({"config": [1]}, "config"),
        ({"base_model": "/etc"}, None),
        ({"criterion": "honesty"}, None),
        ({"client_key": "short"}, "client_key"),
    ],
)
def test_bad_launches(world: World, ada: Api, change: dict[str, Any], field: str | None) -> None:
    answer = launch(world, ada, **change)
    assert answer.status_code == 400
    assert list(answer.json().get("fields", {None: 0})) == [field]
    assert TrainingRun.objects.count() == 1


def test_a_snapshot_of_another_project_is_unknown(world: World, ada: Api) -> None:
    other = make_project(name="Other")
    body = {
        "snapshot": world.snapshot.pk,
        "method": "dpo",
        "criterion": "overall",
        "base_model": "m",
    }
    answer = ada.post(f"projects/{other.pk}/runs", body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["snapshot"])


def test_metrics_and_log(world: World) -> None:
    for step in (1, 2):
        MetricPoint.objects.create(run=world.run, step=step, name="loss", value=1 / step)
    rosa = Api(world.cast.rosa)
    assert rosa.get(world.path("runs/{run}/metrics")).json() == {
        "metrics": {"loss": [[1, 1.0], [2, 0.5]]}
    }
    assert rosa.get(world.path("runs/{run}/log"), {"lines": 10}).json() == {"log": ""}
    assert rosa.get(world.path("runs/{run}/log"), {"lines": 0}).status_code == 400


def test_cancel_and_resume(world: World, ada: Api) -> None:
    assert ada.post(world.path("runs/{run}/cancel")).json()["job"]["state"] == "cancelled"
    assert ada.post(world.path("runs/{run}/cancel")).json()["job"]["state"] == "cancelled"
    assert ada.post(world.path("runs/{run}/resume")).json()["job"]["state"] == "queued"
    assert ada.post(world.path("runs/{run}/resume")).status_code == 409


def test_version(world: World) -> None:
    """From the weights one can walk back to the judgments."""
    version = world.versions[0]
    Evaluation.objects.create(
        version=version, snapshot=world.snapshot, figures={"held_out": {"examples": 2}}
    )
    Sample.objects.create(
        run=world.run, position=0, prompt_messages=[{"role": "user", "content": "Hi"}],
        policy_text="Hello!", reference_text="Hi.",
    )  # fmt: skip
    rosa = Api(world.cast.rosa)
    told = rosa.get(f"versions/{version.pk}").json()
    assert told["is_promoted"]
    assert (told["lineage"]["run"], told["lineage"]["snapshot"]) == (
        world.run.pk,
        world.snapshot.pk,
    )
    assert told["evaluations"][0]["figures"] == {"held_out": {"examples": 2}}
    assert told["samples"][0]["policy_text"] == "Hello!"
    bare = rosa.get(f"versions/{world.versions[1].pk}").json()
    assert bare["lineage"] == {
        "facts": {"method": "dpo"}, "run": None, "snapshot": None, "parent": None,
    }  # fmt: skip


def test_lists_cost_the_same_however_long(world: World, path: str) -> None:
    rosa = Api(world.cast.rosa)

    def cost(name: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert rosa.get(f"{path}/{name}").status_code == 200
        return len(queries)

    rosa.get("projects")
    few = {name: cost(name) for name in ("runs", "versions", "promotions", "rounds")}
    for _ in range(4):
        version: ModelVersion = make_version(world.run, run=None)
        Promotion.objects.create(
            project=world.cast.project, version=version, action="promote", by=world.cast.ada
        )
    assert {name: cost(name) for name in few} == few
    assert max(few.values()) <= 6


def test_promote_and_roll_back(world: World, ada: Api, path: str) -> None:
    first, second = world.versions
    promote = f"versions/{second.pk}/promote"
    answer = ada.post(promote, {"replacing": first.pk, "note": "Better on held-out."})
    assert (answer.status_code, answer.json()["version"]) == (201, second.pk)
    assert ada.post(promote, {"replacing": first.pk}).status_code == 409
    assert ada.post(f"versions/{first.pk}/roll-back").status_code == 409
    back = ada.post(f"versions/{second.pk}/roll-back", {"note": "Too long."}).json()
    assert (back["action"], back["version"]) == ("roll_back", first.pk)
    rows = ada.get(f"{path}/promotions").json()["results"]
    assert [row["action"] for row in rows] == ["roll_back", "promote", "promote"]
    assert rows[0]["by"] == "ada"


@pytest.mark.parametrize(
    "body", [{}, {"replacing": "1"}, {"replacing": 10**6}, {"note": "x" * 201}]
)
def test_bad_promotions(world: World, ada: Api, body: dict[str, Any]) -> None:
    assert ada.post(world.path("versions/{version}/promote"), body).status_code == 400
    assert Promotion.objects.count() == 1


def test_sample(world: World, ada: Api, path: str) -> None:
    first, second = world.versions
    body = {"limit": 2, "client_key": "sample-once"}
    answer = ada.post(f"versions/{first.pk}/sample", body)
    assert (answer.status_code, answer.json()["kind"]) == (202, "sample_responses")
    assert ada.post(f"versions/{first.pk}/sample", body).json()["id"] == answer.json()["id"]
    assert len(Job.objects.get(pk=answer.json()["id"]).args["prompts"]) == 2
    assert ada.post(f"versions/{first.pk}/sample", body | {"limit": 3}).status_code == 409
    assert ada.post(f"versions/{second.pk}/sample").status_code == 409
    (this_round,) = ada.get(f"{path}/rounds").json()["rounds"]
    assert (this_round["version"], this_round["number"]) == (first.pk, 1)


@pytest.mark.parametrize("body", [{"sides": "left"}, {"limit": 0}, {"temperature": 9.0}])
def test_bad_samples(world: World, ada: Api, body: dict[str, Any]) -> None:
    before = Response.objects.count()
    assert ada.post(f"versions/{world.versions[0].pk}/sample", body).status_code == 400
    assert Response.objects.count() == before


def test_a_job_of_training_is_the_admins(world: World, ada: Api) -> None:
    """A researcher sees it, and may not stop it by another door."""
    rosa = Api(world.cast.rosa)
    assert rosa.get(world.path("jobs/{job}")).json()["kind"] == "train"
    assert rosa.post(world.path("jobs/{job}/cancel")).status_code == 403
    assert Api(world.cast.ada, "write").post(world.path("jobs/{job}/cancel")).status_code == 403
    assert ada.post(world.path("jobs/{job}/cancel")).json()["state"] == "cancelled"
