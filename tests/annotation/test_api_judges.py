"""Providers, judges and runs by REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Judge, JudgeRun, Price, ProjectJudge, Provider, ProviderModel
from core.models import Job, Secret
from tests.api import Api, make_judge_call
from tests.cast import Cast, make_item
from tests.judges import make_judge, make_model

NEW = {"name": "Endpoint", "base_url": "https://api.example.com/v1", "key": "sk-sesame-1234"}


@pytest.fixture
def path(cast: Cast) -> str:
    return f"projects/{cast.project.pk}"


def judge_in(model: ProviderModel, **more: Any) -> dict[str, Any]:
    given = {"model": model.pk, "protocol": "mt_bench", "kind": "pairwise", "name": "Strict"}
    return given | more


def test_a_provider_and_its_models(cast: Cast) -> None:
    api = Api(cast.ada)
    made = api.post("providers", NEW)
    assert made.status_code == 201
    assert (made.json()["has_key"], made.json()["key_ends_in"]) == (True, "1234")
    assert "sesame" not in made.content.decode()
    one = f"providers/{made.json()['id']}"
    changed = api.patch(one, {"concurrency": 4, "requests_per_minute": 60}).json()
    assert (changed["concurrency"], changed["requests_per_minute"]) == (4, 60)
    assert changed["name"] == "Endpoint"
    model = api.post(f"{one}/models", {"name": "llama-3"}).json()
    assert model["can"] == {}
    prices = f"provider-models/{model['id']}/prices"
    price = {"input_per_million": 2.5, "output_per_million": 10, "valid_from": "2026-01-01"}
    assert api.post(prices, price).json()["input_per_million"] == "2.500000"
    assert api.get(prices).json()["results"][0]["valid_from"] == "2026-01-01"
    assert api.put(f"{one}/key", {"key": ""}).json()["has_key"] is False
    assert not Secret.objects.exists()
    assert api.post(f"{one}/retire").json()["retired_at"]
    assert [row["models"][0]["name"] for row in api.get("providers").json()["results"]] == [
        "llama-3"
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"base_url": "http://10.0.0.1/v1"}, "base_url"),
        ({"concurrency": 0}, "concurrency"),
        ({"local_origin": "http://x"}, "local_origin"),
    ],
)
def test_bad_providers_name_the_field(cast: Cast, change: dict[str, Any], field: str) -> None:
    answer = Api(cast.ada).post("providers", NEW | change)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert not Provider.objects.exists()


def test_what_a_judge_can_be_made_of(cast: Cast, path: str) -> None:
    model, api = make_model(), Api(cast.rosa)
    Price.objects.create(
        model=model, valid_from="2020-01-01", input_per_million=1, output_per_million=2
    )
    told = api.get("judge-protocols").json()
    assert "rlaif" in [one["key"] for one in told["protocols"]]
    assert next(one for one in told["protocols"] if one["key"] == "rlaif")["needs"] == ["logprobs"]
    assert "both_orders" in [one["name"] for one in told["settings"]]
    found = api.get(f"{path}/judge-models").json()["results"]
    assert [(one["name"], one["price"]["output_per_million"]) for one in found] == [
        ("judge-1", "2.000000")
    ]
    assert "base_url" not in str(found)


def test_a_judge_and_its_next_version(cast: Cast, path: str) -> None:
    api, model = Api(cast.rosa), make_model()
    made = api.post(f"{path}/judges", judge_in(model, settings={"samples": 2}))
    assert made.status_code == 201
    judge = made.json()
    assert (judge["version"], judge["settings"]["samples"]) == (1, 2)
    assert "{response_a}" in judge["texts"]["body"]
    same = api.post(f"{path}/judges", judge_in(model, settings={"samples": 2})).json()
    assert same["id"] == judge["id"]
    newer = api.post(f"{path}/judges", judge_in(model, settings={"samples": 3})).json()
    assert newer["version"] == 2
    assert [one["version"] for one in api.get(f"{path}/judges").json()["results"]] == [2, 1]
    one = f"judges/{judge['id']}"
    assert api.get(one).json() == judge
    assert api.put(f"{one}/takes", {"takes": "unlabeled"}).json()["takes"] == "unlabeled"
    assert ProjectJudge.objects.get().judge_id == judge["id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"protocol": "guessing"}, "protocol"),
        ({"protocol": "own"}, "protocol"),
        ({"kind": "thumbs"}, "kind"),
        ({"model": 2**40}, "model"),
        ({"settings": {"samples": 0}}, "settings"),
        ({"settings": {"colour": "red"}}, "settings"),
    ],
)
def test_bad_judges_name_the_field(
    cast: Cast, path: str, change: dict[str, Any], field: str
) -> None:
    answer = Api(cast.rosa).post(f"{path}/judges", judge_in(make_model()) | change)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert not Judge.objects.exists()


def test_a_text_of_ones_own(cast: Cast, path: str) -> None:
    api, model = Api(cast.rosa), make_model()
    text = {
        "name": "Ours", "kind": "pairwise", "answer_format": "choice",
        "body": "{prompt} {response_a} {response_b}",
    }  # fmt: skip
    saved = api.post(f"{path}/judge-templates", text)
    assert saved.status_code == 201
    refused = api.post(f"{path}/judge-templates", {**text, "body": "Which?"})
    assert refused.status_code == 400
    assert "lacks {prompt}" in refused.json()["detail"]
    number = saved.json()["id"]
    assert api.get(f"judge-templates/{number}").json() == saved.json()
    own = judge_in(model, protocol="own")
    assert list(api.post(f"{path}/judges", own).json()["fields"]) == ["template"]
    made = api.post(f"{path}/judges", {**own, "template": number}).json()
    assert made["texts"]["body"] == text["body"]


def test_a_run_from_estimate_to_stop(cast: Cast, path: str) -> None:
    for _ in range(3):
        make_item(cast.project)
    api, judge = Api(cast.rosa), make_judge(cast.project)
    asked: dict[str, Any] = {"selection": {"takes": "all", "limit": 2}}
    told = api.post(f"judges/{judge.pk}/runs/estimate", asked).json()
    assert (told["items"], told["calls"], told["price_known"]) == (2, 4, False)
    assert told["too_long"] == 0
    assert not JudgeRun.objects.exists()
    assert api.post(f"judges/{judge.pk}/runs", asked).status_code == 400
    run = api.post(f"judges/{judge.pk}/runs", {**asked, "cap": 0.5})
    assert run.status_code == 201
    assert (run.json()["state"], run.json()["cap"]) == ("queued", "0.50000000")
    one = f"judge-runs/{run.json()['id']}"
    assert api.post(f"{one}/pause").json()["state"] == "paused"
    assert api.post(f"{one}/pause").status_code == 409
    resumed = api.post(f"{one}/resume", {"cap": 2}).json()
    assert (resumed["state"], resumed["cap"]) == ("queued", "2.00000000")
    assert api.post(f"{one}/stop").json()["state"] == "cancelled"
    by_cap = {"stopped_by": "cap", "least": "2.5"}
    Job.objects.filter(pk=run.json()["job"]).update(state="failed", result=by_cap)
    for small in ({}, {"cap": 2}, {"cap": 2.4}):
        refused = api.post(f"{one}/resume", small)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["cap"])
        assert "one of $2.5 at least" in refused.json()["detail"]
    JudgeRun.objects.update(overrun=4)
    assert [
        (row["id"], row["overrun"]) for row in api.get(f"{path}/judge-runs").json()["results"]
    ] == [(run.json()["id"], "4.00000000")]
    both = {"selection": {"takes": "all", "items": [1]}}
    answer = api.post(f"judges/{judge.pk}/runs/estimate", both)
    assert list(answer.json()["fields"]) == ["selection"]
    # Neither: what the project has chosen.
    assert api.post(f"judges/{judge.pk}/runs/estimate", {"selection": {}}).status_code == 200


def test_a_judge_of_a_retired_provider_is_refused_at_once(cast: Cast) -> None:
    make_item(cast.project)
    api, judge = Api(cast.rosa), make_judge(cast.project)
    asked: dict[str, Any] = {"selection": {"takes": "all"}}
    run = api.post(f"judges/{judge.pk}/runs", {**asked, "cap": 1}).json()
    api.post(f"judge-runs/{run['id']}/stop")
    Provider.objects.update(retired_at=timezone.now())
    for path, more in (("runs", {"cap": 1}), ("runs/estimate", {})):
        answer = api.post(f"judges/{judge.pk}/{path}", asked | more)
        assert (answer.status_code, "was retired" in answer.json()["detail"]) == (400, True)
    assert "was retired" in api.post(f"judge-runs/{run['id']}/resume").json()["detail"]
    assert JudgeRun.objects.count() == 1
    Provider.objects.update(retired_at=None)
    assert api.post(f"judge-runs/{run['id']}/resume").json()["state"] == "queued"


def test_calls_are_listed_and_read(cast: Cast) -> None:
    call = make_judge_call(make_item(cast.project), cast.rosa)
    api = Api(cast.rosa)
    rows = api.get(f"judges/{call.judge_id}/calls", {"state": "done"}).json()["results"]
    assert [row["id"] for row in rows] == [call.pk]
    assert "reply" not in rows[0]
    assert api.get(f"judges/{call.judge_id}/calls", {"state": "failed"}).json()["results"] == []
    assert api.get(f"judge-calls/{call.pk}").json()["reply"] == {"text": "A"}
