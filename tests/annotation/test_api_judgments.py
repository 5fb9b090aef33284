"""Judgments, imports and the feedback of end users by REST."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Annotator, Assignment, Item, Judgment
from core.jobs import run
from tests.api import Api, responses_of
from tests.cast import Cast, make_item
from tests.feedback.votes import judge_annotator, vote

FEEDBACK: dict[str, Any] = {
    "application": "helpdesk",
    "external_id": "event-1",
    "prompt": "How do I reset it?",
    "responses": [{"generator": "version 3", "messages": "Hold the button."}],
    "kind": "thumbs",
    "answers": {"overall": {"thumb": 1}},
}


@pytest.fixture
def path(cast: Cast) -> str:
    return f"projects/{cast.project.pk}"


def test_judgments_of_people_and_judges(cast: Cast, path: str) -> None:
    item = make_item(cast.project)
    first = vote(item, "w1", 2)
    vote(item, judge_annotator("gpt-4"), -1)
    api = Api(cast.rosa)
    rows = api.get(f"{path}/judgments").json()["results"]
    assert [(row["is_judge"], row["answers"][0]["strength"]) for row in rows] == [
        (True, -1),
        (False, 2),
    ]
    assert rows[0]["annotator"] == "gpt-4 v1"
    uuid = first.assignment.annotator.uuid
    chosen = api.get(f"{path}/judgments", {"annotator": uuid, "item": item.pk}).json()
    assert [row["id"] for row in chosen["results"]] == [first.pk]
    assert api.get(f"{path}/judgments", {"annotator": "w1"}).status_code == 400


def test_reviewers_see_no_votes_before_they_have_answered(cast: Cast, path: str) -> None:
    assert Api(cast.rita).get(f"{path}/judgments").status_code == 403


def test_judgments_cost_the_same_however_many(cast: Cast, path: str) -> None:
    api = Api(cast.rosa)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            api.get(f"{path}/judgments")
        return len(queries)

    vote(make_item(cast.project), "a", 1)
    api.get("projects")
    few = cost()
    for name in "bcde":
        vote(make_item(cast.project), name, 1)
    assert cost() == few <= 6


def send(cast: Cast, path: str, **changes: Any) -> Any:
    return Api(cast.rosa, "judge").post(f"{path}/feedback", {**FEEDBACK, **changes})


def test_feedback(cast: Cast, path: str) -> None:
    answer = send(cast, path)
    assert (answer.status_code, answer.json()["created"]) == (200, True)
    judgment = Judgment.objects.get(pk=answer.json()["judgment"])
    assert (judgment.origin, judgment.answers.get().thumb) == ("application", 1)
    assert judgment.assignment.annotator.application == "helpdesk"
    assert (judgment.assignment.state, judgment.assignment.takes_slot) == ("done", False)
    item = Item.objects.get(pk=answer.json()["item"])
    assert (item.is_open, item.open_slots) == (False, item.overlap)


def test_the_same_event_counts_once(cast: Cast, path: str) -> None:
    first, second = send(cast, path).json(), send(cast, path).json()
    assert second == {**first, "created": False}
    assert Judgment.objects.count() == 1


def test_another_event_about_the_same_answer_is_a_revision(cast: Cast, path: str) -> None:
    send(cast, path)
    send(cast, path, external_id="event-2", answers={"overall": {"thumb": 0}})
    assignment = Assignment.objects.get()
    assert assignment.current is not None
    assert (assignment.judgments.count(), assignment.current.answers.get().thumb) == (2, 0)
    assert Annotator.objects.filter(application="helpdesk").count() == 1


@pytest.mark.parametrize("first", [0, 1])
def test_pairs_in_any_order(cast: Cast, path: str, first: int) -> None:
    """The end users' winner is the winner, however the responses are listed."""
    texts = ["Better.", "Worse."]
    for event in range(2):
        listed = texts if (event + first) % 2 == 0 else texts[::-1]
        strength = 3 if listed[0] == "Better." else -3
        answer = send(
            cast,
            path,
            external_id=f"e{event}",
            kind="pairwise",
            responses=[{"generator": "m", "messages": text} for text in listed],
            answers={"overall": {"strength": strength}},
        )
        item = Item.objects.get(pk=answer.json()["item"])
        order = [response.messages[0]["content"] for response in responses_of(item)]
        stored = Judgment.objects.get(pk=answer.json()["judgment"]).answers.get().strength
        assert stored == (3 if order[0] == "Better." else -3)


def test_labelers_may_be_asked_too(cast: Cast, path: str) -> None:
    item = Item.objects.get(pk=send(cast, path, open_item=True).json()["item"])
    assert item.is_open


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "pairwise"}, None),
        ({"kind": "guess"}, "kind"),
        ({"application": ""}, "application"),
        ({"answers": {"overall": {"thumb": 2}}}, "answers.overall.thumb"),
        ({"answers": {"honesty": {"thumb": 1}}}, None),
        ({"responses": []}, "responses"),
        (
            {
                "kind": "pairwise",
                "responses": [{"generator": name, "messages": "Same"} for name in "ab"],
            },
            "responses",
        ),
    ],
)
def test_bad_feedback(cast: Cast, path: str, changes: dict[str, Any], field: str | None) -> None:
    answer = send(cast, path, **changes)
    assert answer.status_code == 400
    assert list(answer.json().get("fields", {None: 0})) == [field]
    assert not Judgment.objects.exists()


ROWS = [
    {
        "prompt": "Name a fruit.",
        "responses": [{"generator": "a", "text": "Apple"}, {"generator": "b", "text": "Carrot"}],
        "judgments": [{"annotator": "w1", "winner": 0}],
    },
    {"prompt": 7},
]


@pytest.mark.parametrize("as_lines", [False, True])
def test_import(cast: Cast, path: str, as_lines: bool) -> None:
    api = Api(cast.rosa)
    for added in (1, 0):
        if as_lines:
            answer = api.client.post(
                f"/api/{path}/import?format=jsonl&label=x",
                data="\n".join(json.dumps(row) for row in ROWS),
                content_type="application/x-ndjson",
                headers=api.headers,
            )
        else:
            answer = api.post(f"{path}/import?label=x", {"rows": ROWS})
        assert answer.status_code == 202
        run(answer.json()["id"])
        job = api.get(f"jobs/{answer.json()['id']}").json()
        assert (job["state"], job["share_done"]) == ("succeeded", 1.0)
        report = job["result"]
        assert (report["imported"], report["problems"]) == (1, 1)
        assert report["counts"]["judgments"] == added
        assert report["first_problems"][0]["field"] == "prompt"


def test_a_dry_run_adds_nothing(cast: Cast, path: str) -> None:
    api = Api(cast.rosa)
    job = api.post(f"{path}/import?dry_run=true", {"rows": ROWS}).json()
    run(job["id"])
    assert api.get(f"jobs/{job['id']}").json()["result"]["counts"]["items"] == 1
    assert not Item.objects.exists()


@pytest.mark.parametrize("body", [{}, {"rows": []}, {"rows": [1]}, {"rows": ROWS, "label": "x"}])
def test_bad_imports(cast: Cast, path: str, body: dict[str, Any]) -> None:
    assert Api(cast.rosa).post(f"{path}/import", body).status_code == 400


@pytest.mark.parametrize("query", ["format=llmfao", "format=../x", "label=", "dry_run=maybe"])
def test_bad_options_of_imports(cast: Cast, path: str, query: str) -> None:
    assert Api(cast.rosa).post(f"{path}/import?{query}", {"rows": ROWS}).status_code == 400


@pytest.mark.parametrize("lines", ["", " \n "])
def test_an_import_of_nothing(cast: Cast, path: str, lines: str) -> None:
    api = Api(cast.rosa)
    answer = api.client.post(
        f"/api/{path}/import",
        data=lines,
        content_type="application/x-ndjson",
        headers=api.headers,
    )
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["rows"])
