"""Labeling by REST: claim, answer, skip, and nothing that tells who wrote what."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Assignment, Flag, Item, Judgment, Kind, Protocol
from annotation.services.claim_item import claim_item
from tests.api import Api, responses_of
from tests.cast import Cast, make_item


@pytest.fixture
def bob(cast: Cast) -> Api:
    return Api(cast.bob, "judge")


@pytest.fixture
def claim(cast: Cast) -> str:
    return f"projects/{cast.project.pk}/claim"


def key() -> str:
    return uuid.uuid4().hex


def answer_to(kind: str) -> dict[str, Any]:
    value = {
        "pairwise": {"strength": 2},
        "listwise": {"ranks": [2, 1, 1], "acceptable_to": 1},
        "thumbs": {"thumb": 1},
    }[kind]
    return {"overall": value}


@pytest.mark.parametrize("kind", Kind.values)
def test_claim_and_submit(cast: Cast, bob: Api, claim: str, kind: str) -> None:
    item = make_item(cast.project, kind=kind)
    given = bob.post(claim).json()["assignment"]
    assert (given["kind"], given["state"], given["answers"]) == (kind, "leased", {})
    sent = {"client_key": key(), "answers": answer_to(kind), "reasons": ["clear"], "comment": "Ok"}
    done = bob.post(f"assignments/{given['id']}/submit", sent).json()
    assert done["state"] == "answered"
    shown = done["answers"]["overall"]
    assert {name: shown[name] for name in answer_to(kind)["overall"]} == answer_to(kind)["overall"]
    judgment = Judgment.objects.get()
    assert (judgment.origin, judgment.assignment.item) == ("api", item)
    assert bob.get(f"assignments/{given['id']}").json() == done
    assert [row["id"] for row in bob.get("assignments").json()["results"]] == [given["id"]]


def test_answers_are_in_the_order_shown(cast: Cast, bob: Api, claim: str) -> None:
    item = make_item(cast.project)
    given = bob.post(claim).json()["assignment"]
    order = Assignment.objects.get().shown_order
    texts = [response.messages for response in responses_of(item)]
    assert [one["messages"] for one in given["responses"]] == [texts[place] for place in order]
    body = {"client_key": key(), "answers": {"overall": {"strength": 3}}}
    bob.post(f"assignments/{given['id']}/submit", body)
    assert Judgment.objects.get().answers.get().strength == (3 if order == [0, 1] else -3)


def test_a_repeated_submit_adds_nothing(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    path = f"assignments/{bob.post(claim).json()['assignment']['id']}/submit"
    body = {"client_key": key(), "answers": {"overall": {"strength": 1}}}
    assert bob.post(path, body).json() == bob.post(path, body).json()
    assert Judgment.objects.count() == 1


def test_an_answer_is_changed_by_a_new_key(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    path = f"assignments/{bob.post(claim).json()['assignment']['id']}/submit"
    for strength in (1, -1):
        sent = {"client_key": key(), "answers": {"overall": {"strength": strength}}}
        assert bob.post(path, sent).json()["answers"]["overall"]["strength"] == strength
    assert Judgment.objects.count() == 2


def test_a_late_answer_is_kept(cast: Cast, bob: Api, claim: str) -> None:
    """Whether its slot was gone does not show."""
    item = make_item(cast.project, overlap=1)
    given = bob.post(claim).json()["assignment"]
    Assignment.objects.update(state="expired", lease_expires_at=None)
    lena = Api(cast.lena, "judge")
    other = lena.post(claim).json()["assignment"]
    body = {"client_key": key(), "answers": {"overall": {"strength": 1}}}
    lena.post(f"assignments/{other['id']}/submit", body)
    late = bob.post(f"assignments/{given['id']}/submit", {**body, "client_key": key()}).json()
    assert late["state"] == "answered"
    assert Assignment.objects.get(pk=given["id"]).state == "surplus"
    item.refresh_from_db()
    assert item.open_slots == 0


def test_skip(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    given = bob.post(claim).json()["assignment"]
    path = f"assignments/{given['id']}"
    for _ in range(2):
        assert bob.post(f"{path}/skip", {"reason": "Not my field"}).json()["state"] == "skipped"
    assert bob.post(claim).json() == {"assignment": None, "held_by_others": False}
    assert Item.objects.get().skips == 1


def test_a_flag_reaches_the_manager(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    path = f"assignments/{bob.post(claim).json()['assignment']['id']}/skip"
    for _ in range(2):
        reply = bob.post(path, {"reason": "Cut off", "flagged": True})
        assert reply.json()["state"] == "skipped"
    flag = Flag.objects.get()
    assert (flag.kind, flag.note, Item.objects.get().skips) == ("problem", "Cut off", 1)


@pytest.mark.parametrize("act", ["", "/submit", "/skip", "/extend"])
def test_a_review_is_not_decided_here(cast: Cast, act: str) -> None:
    """Else who may not review any more could still change what they decided."""
    make_item(cast.project)
    assignment = claim_item(project=cast.project, user=cast.rita)
    assert assignment is not None
    Assignment.objects.update(occasion=Assignment.REVIEW, takes_slot=False)
    rita = Api(cast.rita, "judge")
    path = f"assignments/{assignment.pk}{act}"
    reply = rita.post(path, {}) if act else rita.get(path)
    assert reply.status_code == 404
    assert rita.get("assignments").json()["results"] == []


def test_what_is_open_is_given_again(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    make_item(cast.project)
    first, second = (bob.post(claim).json()["assignment"]["id"] for _ in range(2))
    assert first == second


def test_a_lease_is_extended(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    given = bob.post(claim).json()["assignment"]
    Assignment.objects.update(lease_expires_at=timezone.now() + timedelta(seconds=1))
    longer = bob.post(f"assignments/{given['id']}/extend").json()
    assert longer["lease_expires_at"] >= given["lease_expires_at"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"client_key": "short"}, "client_key"),
        ({"answers": {}}, "answers"),
        ({"answers": {"overall": {"strength": 4}}}, "answers.overall.strength"),
        ({"answers": {"overall": {"strength": 1.5}}}, "answers.overall.strength"),
        ({"answers": {"overall": {"strength": True}}}, "answers.overall.strength"),
        ({"answers": {"overall": {"ranks": [0]}}}, "answers.overall.ranks[0]"),
        ({"answers": {"overall": {"winner": 1}}}, "answers.overall.winner"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"origin": "judge"}, "origin"),
    ],
)
def test_bad_input_names_the_field(
    cast: Cast, bob: Api, claim: str, change: dict[str, Any], field: str
) -> None:
    make_item(cast.project)
    path = f"assignments/{bob.post(claim).json()['assignment']['id']}/submit"
    sent = {"client_key": key(), "answers": {"overall": {"strength": 1}}, **change}
    answer = bob.post(path, sent)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"answers": {"honesty": {"strength": 1}}},
        {"answers": {"overall": {"thumb": 1}}},
        {"reasons": ["nice shoes"]},
    ],
)
def test_the_protocol_is_kept(cast: Cast, bob: Api, claim: str, change: dict[str, Any]) -> None:
    make_item(cast.project)
    path = f"assignments/{bob.post(claim).json()['assignment']['id']}/submit"
    sent = {"client_key": key(), "answers": {"overall": {"strength": 1}}, **change}
    assert bob.post(path, sent).status_code == 400


def test_one_who_has_left_sees_nothing(cast: Cast, bob: Api, claim: str) -> None:
    make_item(cast.project)
    given = bob.post(claim).json()["assignment"]
    cast.project.memberships.filter(user=cast.bob).update(state="left")
    assert bob.get(f"assignments/{given['id']}").status_code == 404
    assert bob.get("assignments").json()["results"] == []


@pytest.mark.parametrize("kind", Kind.values)
def test_a_labeler_learns_nothing(cast: Cast, claim: str, kind: str) -> None:
    """No model's name, no id, no uuid of a response or generator, no canonical order."""
    item = make_item(cast.project, kind=kind, batch="round 7", external_id="secret-item")
    api = Api(cast.bob)
    given = api.post(claim).json()["assignment"]
    path = f"assignments/{given['id']}"
    body = {"client_key": key(), "answers": answer_to(kind)}
    answers = [
        api.get(path),
        api.post(f"{path}/submit", body),
        api.post(f"{path}/extend"),
        api.get("assignments"),
        api.get("projects"),
        api.get(f"projects/{cast.project.pk}"),
    ]
    told = [given, *(answer.json() for answer in answers)]
    text = json.dumps(told).lower()
    secrets = ["model a", "model b", "model c", "round 7", "secret-item", "generator", "uuid"]
    secrets += ["shown_order", "position", "gold", "occasion", "overlap_left", "open_slots"]
    for response in responses_of(item):
        secrets += [str(response.uuid), response.uuid.hex, str(response.generator.uuid)]
    assert [secret for secret in secrets if secret in text] == []
    ids = {response.pk for response in responses_of(item)} | {item.pk, item.prompt_id}
    assert not ids & set(numbers(told)) - {given["id"], cast.project.pk, 0, 1, 2, 3}
    assert set(given["responses"][0]) == {"messages"}
    assert not any("etag" in answer.headers for answer in answers)


def numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in numbers(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in numbers(inner)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def test_where_one_only_picks_no_degree_is_taken(cast: Cast, bob: Api, claim: str) -> None:
    Protocol.objects.update(pairwise_scale="pick")
    make_item(cast.project)
    given = bob.post(claim).json()["assignment"]
    path = f"assignments/{given['id']}/submit"
    for strength in (3, 1, -1, -3):
        sent = {"client_key": key(), "answers": {"overall": {"strength": strength}}}
        refused = bob.post(path, sent)
        assert refused.status_code == 400
        assert "only asks which response is better: give 2" in refused.content.decode()
    assert not Judgment.objects.exists()
    for strength in (2, 0, -2):
        sent = {"client_key": key(), "answers": {"overall": {"strength": strength}}}
        assert bob.post(path, sent).json()["answers"]["overall"]["strength"] == strength
