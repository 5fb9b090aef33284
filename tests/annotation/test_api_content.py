"""Prompts, responses and items by REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Item, Prompt, Response
from tests.api import Api
from tests.cast import Cast, make_item, make_project, make_prompt, make_response

LIMIT = 20_000_000


@pytest.fixture
def api(cast: Cast) -> Api:
    return Api(cast.rosa)


@pytest.fixture
def path(cast: Cast) -> str:
    return f"projects/{cast.project.pk}"


def add_responses(api: Api, path: str, prompt: int, **texts: str) -> list[dict[str, Any]]:
    body = [
        {"prompt": prompt, "generator": {"name": name}, "messages": text}
        for name, text in texts.items()
    ]
    rows: list[dict[str, Any]] = api.post(f"{path}/responses", {"responses": body}).json()[
        "responses"
    ]
    return rows


def test_from_prompts_to_items(api: Api, path: str) -> None:
    answer = api.post(f"{path}/prompts", {"prompts": [{"messages": "How tall is Ararat?"}]})
    assert answer.status_code == 201
    prompt = answer.json()["prompts"][0]
    assert prompt["messages"] == [{"role": "user", "content": "How tall is Ararat?"}]
    assert prompt["side"] in {"train", "held_out"}
    rows = add_responses(api, path, prompt["id"], one="5,137 m", two="High.")
    body = {"kind": "pairwise", "groups": [[row["id"] for row in rows]]}
    made = api.post(f"{path}/items", body).json()
    assert (made["created"], made["existing"]) == (1, 0)
    item = api.get(f"items/{made['items'][0]}").json()
    assert {one["generator"] for one in item["responses"]} == {"one", "two"}
    assert item["is_open"]
    assert api.get(f"prompts/{prompt['id']}").json() == prompt


def test_adding_twice_adds_nothing(api: Api, path: str) -> None:
    body = {"prompts": [{"messages": "Once?"}, {"messages": "Once?"}]}
    first, second = (api.post(f"{path}/prompts", body).json()["prompts"] for _ in range(2))
    assert len({row["id"] for row in first + second}) == 1
    one = add_responses(api, path, first[0]["id"], model="Yes.")
    assert one == add_responses(api, path, first[0]["id"], model="Yes.")
    assert (Prompt.objects.count(), Response.objects.count()) == (1, 1)


def test_equal_texts_are_a_tie(api: Api, path: str) -> None:
    prompt = api.post(f"{path}/prompts", {"prompts": [{"messages": "Same?"}]}).json()["prompts"][0]
    rows = add_responses(api, path, prompt["id"], one="Same.", two="Same.")
    body = {"kind": "pairwise", "groups": [[row["id"] for row in rows]]}
    assert api.post(f"{path}/items", body).json()["identical"] == 1


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        ({}, "prompts[0].messages"),
        ({"messages": []}, "prompts[0].messages"),
        ({"messages": 3}, "prompts[0].messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "prompts[0].messages"),
        ({"messages": "Hi", "tags": [1]}, "prompts[0].tags"),
        ({"messages": "Hi", "external_id": "x" * 201}, "prompts[0].external_id"),
        ({"messages": "Hi", "side": "train"}, "prompts[0].side"),
    ],
)
def test_bad_prompts(api: Api, path: str, prompt: dict[str, Any], field: str) -> None:
    answer = api.post(f"{path}/prompts", {"prompts": [prompt]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def send(api: Api, path: str, body: bytes, kind: str = "application/json") -> Any:
    return api.client.post(
        f"/api/{path}/prompts", data=body, content_type=kind, headers=api.headers
    )


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[]", 400, "Expected a dictionary"),
        (b'{"prompts": [{"messages": "a\\u0000b"}]}', 400, "NUL"),
        (b'{"prompts": [{"messages": "a\\ud800b"}]}', 400, "surrogate"),
        (b'{"prompts": [{"messages": "a", "tags": {"x": NaN}}]}', 400, "NaN"),
        (b'{"prompts": [{"messages": "a", "tags": {"x": 1e999}}]}', 400, "too large"),
        (b"[" * 100_000, 400, "deeper than 32"),
        (b"[" * 40 + b"]" * 40, 400, "deeper than 32"),
        (b'{"x": ' + b"1" * 5000 + b"}", 400, "not JSON"),
        (b'"' + b"x" * LIMIT + b'"', 413, "larger than"),
    ],
)
def test_broken_bodies(api: Api, path: str, body: bytes, status: int, said: str) -> None:
    answer = send(api, path, body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_only_json_is_read(api: Api, path: str) -> None:
    assert send(api, path, b"prompts=x", "application/x-www-form-urlencoded").status_code == 415


def test_ids_of_others_are_unknown(api: Api, cast: Cast, path: str) -> None:
    """An id in a body is checked against the project, whatever else the caller may see."""
    foreign = make_response(make_prompt(make_project(name="Foreign")))
    body = {
        "responses": [{"prompt": foreign.prompt_id, "generator": {"name": "m"}, "messages": "x"}]
    }
    answer = api.post(f"{path}/responses", body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["responses[0].prompt"])
    item = {"kind": "thumbs", "groups": [[foreign.pk]]}
    answer = api.post(f"{path}/items", item)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["groups"])
    assert Api(cast.ada).post(f"{path}/items", item).status_code == 400
    assert not Item.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"groups": []},
        {"groups": [[]]},
        {"groups": [[True]]},
        {"groups": [[2**70]]},
        {"kind": "other"},
        {"overlap": 51},
        {"priority": 10**9},
    ],
)
def test_bad_items(api: Api, path: str, cast: Cast, change: dict[str, Any]) -> None:
    response = make_response(make_prompt(cast.project))
    body = {"kind": "thumbs", "groups": [[response.pk]], **change}
    assert api.post(f"{path}/items", body).status_code == 400


def test_an_item_is_moved(api: Api, cast: Cast) -> None:
    item = make_item(cast.project)
    path = f"items/{item.pk}"
    assert api.post(f"{path}/close", {"reason": "Enough."}).json()["closed_at"]
    assert not api.post(f"{path}/close").json()["is_open"]
    assert api.post(f"{path}/reopen").json()["is_open"]
    more = api.post(f"{path}/extend", {"by": 2}).json()
    assert (more["overlap"], more["open_slots"]) == (4, 4)
    assert api.post(f"{path}/extend", {"by": 49}).status_code == 409
    assert api.post(f"{path}/priority", {"priority": 7}).json()["priority"] == 7


def test_filters(api: Api, cast: Cast, path: str) -> None:
    pair, list_ = make_item(cast.project), make_item(cast.project, kind="listwise", batch="b")
    api.post(f"items/{pair.pk}/close")

    def ids(**query: Any) -> list[int]:
        return [row["id"] for row in api.get(f"{path}/items", query).json()["results"]]

    assert ids(kind="pairwise") == [pair.pk]
    assert ids(state="open") == [list_.pk]
    assert ids(state="done") == [pair.pk]
    assert ids(batch="b") == [list_.pk]
    assert ids(prompt=pair.prompt_id) == [pair.pk]
    assert api.get(f"{path}/items", {"state": "lost"}).status_code == 400
    assert api.get(f"{path}/items", {"state": ""}).status_code == 400
    rows = api.get(f"{path}/responses", {"prompt": pair.prompt_id, "generator": "model a"}).json()
    assert len(rows["results"]) == 1
    assert api.get(f"{path}/prompts", {"side": "held_out"}).json()["results"] == []


@pytest.mark.parametrize("name", ["prompts", "responses", "items"])
def test_lists_cost_the_same_however_long(api: Api, cast: Cast, path: str, name: str) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get(f"{path}/{name}").status_code == 200
        return len(queries)

    make_item(cast.project)
    api.get("projects")
    few = cost()
    for _ in range(4):
        make_item(cast.project, kind="listwise")
    assert cost() == few <= 6
