"""Projects, protocol and people by REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Membership, Project
from tests.api import Api
from tests.cast import CRITERIA, Cast, make_project

NEW = {"name": "Cooking", "kinds": ["pairwise"], "criteria": [{"name": "Tasty"}]}


@pytest.fixture
def path(cast: Cast) -> str:
    return f"projects/{cast.project.pk}"


def test_create(cast: Cast) -> None:
    answer = Api(cast.ada).post("projects", NEW)
    assert answer.status_code == 201
    project = Project.objects.get(pk=answer.json()["id"])
    assert project.protocol.criterion_keys == ["tasty"]
    assert project.memberships.get().user == cast.ada
    shown = Api(cast.ada).get(f"projects/{project.pk}").json()
    measures = {"gold_share": 0, "probe_share": 0, "shows_gold_agreement": False}
    assert answer.json() == shown | measures | {"judge_budget": None}


def test_create_needs_the_right(cast: Cast) -> None:
    answer = Api(cast.mary).post("projects", NEW)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": "3"}, "overlap"),
        ({"kinds": ["guesses"]}, "kinds[0]"),
        ({"criteria": []}, "criteria"),
        ({"criteria": [{"name": "A", "key": "1"}]}, "criteria"),
        ({"colour": "red"}, "colour"),
        ({"is_demo": True}, "is_demo"),
    ],
)
def test_bad_input_names_the_field(cast: Cast, change: dict[str, Any], field: str) -> None:
    answer = Api(cast.ada).post("projects", {**NEW, **change})
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert not Project.objects.filter(name="Cooking").exists()


def test_list_shows_ones_own(cast: Cast) -> None:
    other = make_project(name="Other")
    assert [row["id"] for row in Api(cast.bob).get("projects").json()["results"]] == [
        cast.project.pk
    ]
    assert other.pk in [row["id"] for row in Api(cast.ada).get("projects").json()["results"]]
    assert Api(cast.mallory).get("projects").json()["results"] == []


def test_list_in_pages_of_constant_cost(cast: Cast) -> None:
    for number in range(5):
        make_project(name=f"Project {number}")
    api = Api(cast.ada)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        first = api.get("projects", {"page_size": 4}).json()
    assert len(queries) <= 3
    rest = api.client.get(first["next"], headers=api.headers).json()
    names = [row["name"] for row in first["results"] + rest["results"]]
    assert names == [f"Project {number}" for number in (4, 3, 2, 1, 0)] + ["Helpful answers"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"page_size": "many"}, 400),
        ({"page_size": "0"}, 400),
        ({"page_size": "9" * 5000}, 400),
        ({"nmae": "x"}, 400),
        ({"cursor": "nonsense"}, 404),
        ({"cursor": "cD1hYmM="}, 404),
        ({"cursor": "cD0xMg=="}, 200),
    ],
)
def test_bad_queries(cast: Cast, query: dict[str, str], status: int) -> None:
    assert Api(cast.ada).get("projects", query).status_code == status


def test_change(cast: Cast, path: str) -> None:
    answer = Api(cast.mary).patch(path, {"overlap": 5})
    assert (answer.status_code, answer.json()["overlap"]) == (200, 5)
    assert Api(cast.mary).patch(path, {"overlap": 5}).status_code == 200
    assert Api(cast.mary).patch(path, {"created_by": 1}).json()["fields"] == {
        "created_by": ["There is no such field."]
    }


def test_protocol(cast: Cast, path: str) -> None:
    protocol = {"kinds": ["thumbs"], "criteria": CRITERIA, "guidelines": "Be kind."}
    api = Api(cast.mary)
    assert api.post(f"{path}/protocols", protocol).json()["version"] == 1
    project = Project.objects.get(pk=cast.project.pk)
    project.protocols.update(frozen_at=project.created_at)
    assert api.post(f"{path}/protocols", {**protocol, "reasons": ["kind"]}).json()["version"] == 2
    versions = Api(cast.bob).get(f"{path}/protocols").json()["results"]
    assert [row["version"] for row in versions] == [2, 1]


def test_people(cast: Cast, path: str) -> None:
    api = Api(cast.mary)
    added = api.post(f"{path}/memberships", {"username": "MALLORY", "role": "labeler"}).json()
    assert (added["username"], added["state"]) == ("mallory", "active")
    one = f"memberships/{added['id']}"
    assert api.post(f"{one}/pause", {"reason": "Too fast."}).json()["state_reason"] == "Too fast."
    assert api.post(f"{one}/pause").json()["state"] == "paused"
    assert api.post(f"{one}/restore").json()["state"] == "active"
    assert api.post(f"{one}/remove").json()["state"] == "left"
    assert api.post(f"{one}/restore").status_code == 409
    assert Api(cast.mallory).get(path).status_code == 404


def test_people_bad_input(cast: Cast, path: str) -> None:
    api = Api(cast.mary)
    answer = api.post(f"{path}/memberships", {"username": "nobody", "role": "labeler"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["username"])
    answer = api.post(f"{path}/memberships", {"username": "bob", "role": "king"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["role"])
    only = Membership.objects.get(project=cast.project, user=cast.mary)
    assert api.post(f"memberships/{only.pk}/remove").status_code == 409
