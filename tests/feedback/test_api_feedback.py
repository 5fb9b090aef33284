"""Agreement, preferences, policy, snapshots and exports by REST."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Item, Kind, Side
from core.jobs import run
from core.models import Job
from feedback.models import Adjudication, Policy, Preference, Snapshot
from feedback.services import resolve_items
from feedback.snapshot_files import folder_of
from tests.api import Api, responses_of
from tests.cast import Cast, make_project
from tests.feedback.votes import judge_annotator, judged, vote


@pytest.fixture
def path(cast: Cast) -> str:
    return f"projects/{cast.project.pk}"


@pytest.fixture
def rosa(cast: Cast) -> Api:
    return Api(cast.rosa)


def fill(cast: Cast) -> None:
    """Decided items on both sides, and one that is contested."""
    for value in (2, 1, -3):
        judged(cast.project, Kind.PAIRWISE, value, value)
        judged(cast.project, Kind.PAIRWISE, value, value, side=Side.HELD_OUT)


def contested(cast: Cast, kind: str = "pairwise", *values: Any) -> Item:
    item = judged(cast.project, kind, *(values or (2, -2)))
    resolve_items(project=cast.project)
    return item


def done(api: Api, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.content
    body = answer.json()
    run(body.get("job", body)["id"])
    job: dict[str, Any] = api.get(f"jobs/{body.get('job', body)['id']}").json()
    assert (job["state"], job["error"]) == ("succeeded", "")
    return job


def test_agreement(cast: Cast, path: str, rosa: Api) -> None:
    assert rosa.get(f"{path}/agreement").json() == {"is_behind": False, "reports": []}
    fill(cast)
    assert rosa.get(f"{path}/agreement").json()["is_behind"]
    done(rosa, rosa.post(f"{path}/agreement"))
    (report,) = rosa.get(f"{path}/agreement").json()["reports"]
    assert (report["kind"], report["criterion"], report["judgments"]) == ("pairwise", "overall", 12)
    assert report["figures"]["people"]["units"] == 6
    assert report["figures"]["people"]["estimates"]["alpha_nominal"]["reason"]


def test_measuring_twice_is_one_job(path: str, rosa: Api) -> None:
    first, second = (rosa.post(f"{path}/agreement").json()["id"] for _ in range(2))
    assert first == second


def test_preferences(cast: Cast, path: str, rosa: Api) -> None:
    fill(cast)
    item = contested(cast)
    rows = rosa.get(f"{path}/preferences", {"state": "contested"}).json()["results"]
    assert [(row["item"], row["support_people"]) for row in rows] == [(item.pk, 2)]
    assert len(rows[0]["judgments"]) == 2
    assert len(rosa.get(f"{path}/preferences", {"kind": "pairwise"}).json()["results"]) == 7
    assert rosa.get(f"{path}/preferences", {"criterion": "none"}).json()["results"] == []
    assert rosa.get(f"{path}/preferences", {"state": "lost"}).status_code == 400


def test_reviewers_see_no_outcome_before_they_have_answered(cast: Cast, path: str) -> None:
    contested(cast)
    assert Api(cast.rita).get(f"{path}/preferences").status_code == 403


def test_preferences_cost_the_same_however_many(cast: Cast, path: str, rosa: Api) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            rosa.get(f"{path}/preferences")
        return len(queries)

    contested(cast)
    rosa.get("projects")
    few = cost()
    for _ in range(4):
        contested(cast)
    assert cost() == few <= 5


def test_resolve(cast: Cast, path: str, rosa: Api) -> None:
    fill(cast)
    assert done(rosa, rosa.post(f"{path}/resolve"))["result"]["states"] == {"accepted": 6}


@pytest.mark.parametrize(
    ("kind", "votes", "value"),
    [
        ("pairwise", (2, -2), {"strength": -1}),
        ("listwise", ([1, 2, 3], [3, 2, 1]), {"ranks": [2, 1, 3]}),
        ("thumbs", (0, 1), {"thumb": 1}),
    ],
)
def test_adjudicate(cast: Cast, kind: str, votes: tuple[Any, ...], value: dict[str, Any]) -> None:
    item = contested(cast, kind, *votes)
    rita = Api(cast.rita)
    path = f"items/{item.pk}/adjudicate"
    shown = rita.get(path).json()
    standing = shown["standing"][0]["preference"]
    body = {"criterion": "overall", "value": value, "note": "Look at the facts.", "seen": standing}
    decided = rita.post(path, body).json()
    assert (decided["state"], decided["item"]) == ("adjudicated", item.pk)
    # JSON tells numbers, not their types.
    name, said = next(iter(value.items()))
    assert decided["outcome"][name] == said
    again = rita.post(path, body)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_decision_by_program_claims_no_blind_answer_and_no_votes_seen(cast: Cast) -> None:
    item = contested(cast)
    path = f"items/{item.pk}/adjudicate"
    Api(cast.rita).post(path, {"criterion": "overall", "value": {"strength": 1}})
    row = Adjudication.objects.get()
    assert (row.blind, row.seen_judgments, row.named) == (None, [], False)


def test_one_takes_back_ones_own_decision(cast: Cast) -> None:
    item = contested(cast)
    rita, path = Api(cast.rita), f"items/{item.pk}/adjudicate"
    assert rita.call("DELETE", path).status_code == 409
    rita.post(path, {"criterion": "overall", "value": {"strength": 1}})
    assert Api(cast.mary).call("DELETE", path).status_code == 409
    assert Api(cast.bob).call("DELETE", path).status_code == 403
    (row,) = rita.call("DELETE", path).json()
    assert (row["state"], row["adjudication"]) == ("contested", None)
    assert rita.get(f"projects/{cast.project.pk}/adjudication").json()["items"] == 1
    assert rita.call("DELETE", path).status_code == 409


def test_a_contested_item_is_blind(cast: Cast) -> None:
    item = contested(cast)
    shown = Api(cast.rita).get(f"items/{item.pk}/adjudicate").json()
    assert [one["messages"] for one in shown["responses"]] == [
        response.messages for response in responses_of(item)
    ]
    text = json.dumps(shown)
    assert not [name for name in ("model a", "model b", "uuid", "strength") if name in text]


def test_exclude(cast: Cast) -> None:
    item = contested(cast)
    body = {"criterion": "overall", "exclude": True}
    answer = Api(cast.rita).post(f"items/{item.pk}/adjudicate", body)
    assert answer.json()["state"] == "excluded"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"criterion": "overall"},
        {"criterion": "honesty", "exclude": True},
        {"criterion": "overall", "value": {"thumb": 1}},
        {"criterion": "overall", "value": {"strength": 9}},
        {"criterion": "overall", "value": 1},
    ],
)
def test_bad_adjudications(cast: Cast, body: dict[str, Any]) -> None:
    item = contested(cast)
    assert Api(cast.rita).post(f"items/{item.pk}/adjudicate", body).status_code == 400
    assert Preference.objects.newest().get(item=item).state == "contested"


def test_what_waits(cast: Cast) -> None:
    mild, sharp = contested(cast, "pairwise", 1, -1), contested(cast, "pairwise", 3, -3)
    contested(cast, "thumbs", 0, 1)
    rita, path = Api(cast.rita), f"projects/{cast.project.pk}/adjudication"
    body = rita.get(path + "?kind=pairwise").json()
    assert body["items"] == 2
    assert [one["item"] for one in body["waiting"]] == [sharp.pk, mild.pk]
    assert set(body["waiting"][0]) == {
        "item", "kind", "criterion", "cause", "disagreement", "preference", "since",
    }  # fmt: skip
    assert rita.get(path + "?cause=judges").json()["items"] == 0
    assert rita.get(path + "?cause=boredom").status_code == 400


def test_send_back(cast: Cast) -> None:
    item = contested(cast)
    rita, path = Api(cast.rita), f"items/{item.pk}/adjudicate"
    both = {"criterion": "overall", "more": 2, "exclude": True}
    assert rita.post(path, both).status_code == 400
    row = rita.post(path, {"criterion": "overall", "more": 2}).json()
    assert (row["state"], row["adjudication"]) == ("contested", None)
    item.refresh_from_db()
    assert item.overlap == 4
    assert rita.get(f"projects/{cast.project.pk}/adjudication").json()["items"] == 0


POLICY = {
    "aggregation": "majority",
    "min_judgments": 3,
    "min_agreement": 0.5,
    "count_judges": False,
    "from_version": 1,
}


def test_policy(cast: Cast, path: str, rosa: Api) -> None:
    judgment = vote(judged(cast.project, Kind.PAIRWISE, 1), "z", 1)
    weights = {str(judgment.assignment.annotator_id): 0.5}
    assert rosa.get(f"{path}/policy").json()["min_judgments"] == 2
    answer = rosa.put(f"{path}/policy", {**POLICY, "weights": weights}).json()
    assert (answer["policy"]["version"], answer["policy"]["weights"]) == (2, weights)
    assert answer["job"]["kind"] == "resolve_items"
    assert rosa.get(f"{path}/policy").json() == answer["policy"]


def test_a_policy_is_tried_before_it_is_set(cast: Cast, path: str, rosa: Api) -> None:
    fill(cast)
    done(rosa, rosa.post(f"{path}/resolve"))
    values = {name: value for name, value in POLICY.items() if name != "from_version"}
    tried = rosa.post(f"{path}/policy/preview", values).json()
    assert (tried["before"]["accepted"], tried["after"]["waiting"]) == (6, 6)
    assert Policy.objects.count() == 1
    assert rosa.post(f"{path}/policy/preview", POLICY).status_code == 400


def test_annotators(cast: Cast, path: str, rosa: Api) -> None:
    """Their ids are what a policy's weights go by."""
    item = judged(cast.project, Kind.PAIRWISE, 1, 1)
    vote(item, judge_annotator("gpt-4"), 1)
    rows = rosa.get(f"{path}/annotators").json()["annotators"]
    assert sorted((row["is_judge"], row["judgments"], row["weight"]) for row in rows) == [
        (False, 1, 1.0),
        (False, 1, 1.0),
        (True, 1, 1.0),
    ]
    weights = {str(rows[0]["id"]): 0}
    answer = rosa.put(f"{path}/policy", {**POLICY, "weights": weights})
    assert answer.status_code == 200


def test_the_same_policy_changes_nothing(path: str, rosa: Api) -> None:
    rosa.put(f"{path}/policy", POLICY)
    again = rosa.put(f"{path}/policy", {**POLICY, "from_version": 2}).json()
    assert (again["policy"]["version"], again["job"]) == (2, None)
    assert rosa.put(f"{path}/policy", {**POLICY, "min_judgments": 5}).status_code == 409
    assert Policy.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"aggregation": "dice"}, "aggregation"),
        ({"min_judgments": 0}, "min_judgments"),
        ({"min_agreement": 1.5}, "min_agreement"),
        ({"min_agreement": "0.5"}, "min_agreement"),
        ({"weights": {"1": -1}}, "weights.1"),
        ({"weights": {"x": 1}}, "weights"),
        ({"weights": {"999999": 1}}, "weights"),
    ],
)
def test_bad_policies(path: str, rosa: Api, change: dict[str, Any], field: str) -> None:
    answer = rosa.put(f"{path}/policy", {**POLICY, **change})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_freeze(cast: Cast, path: str, rosa: Api) -> None:
    fill(cast)
    frozen = done(rosa, rosa.post(f"{path}/snapshots", {"note": "First"}))["result"]
    (row,) = rosa.get(f"{path}/snapshots").json()["results"]
    assert (row["id"], row["version"], row["note"]) == (frozen["snapshot"], 1, "First")
    snapshot = rosa.get(f"snapshots/{row['id']}").json()
    assert snapshot["manifest"]["prompts"] == {"train": 3, "held_out": 3}
    again = done(rosa, rosa.post(f"{path}/snapshots"))["result"]
    assert again == {"snapshot": row["id"], "is_new": False}


def test_an_empty_side_is_refused_at_once(cast: Cast, path: str, rosa: Api) -> None:
    judged(cast.project, Kind.PAIRWISE, 1, 1)
    resolve_items(project=cast.project)
    answer = rosa.post(f"{path}/snapshots")
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_side")
    assert not Job.objects.exists()


@pytest.fixture
def snapshot(cast: Cast, path: str, rosa: Api) -> Snapshot:
    fill(cast)
    done(rosa, rosa.post(f"{path}/snapshots"))
    return Snapshot.objects.get()


def test_a_changed_file_is_found(rosa: Api, snapshot: Snapshot) -> None:
    path = f"snapshots/{snapshot.pk}/verify"
    assert rosa.post(path).json()["content_hash"] == snapshot.content_hash
    file = folder_of(snapshot) / "train.jsonl"
    file.chmod(0o600)
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])
    try:
        assert "changed since" in rosa.post(path).json()["detail"]
    finally:
        # Equal content has one folder, which other tests may share.
        file.write_bytes(whole)


def test_the_jobs_of_a_project(path: str, rosa: Api, snapshot: Snapshot) -> None:
    (job,) = rosa.get(f"{path}/jobs", {"kind": "freeze_snapshot"}).json()["results"]
    assert job["result"]["snapshot"] == snapshot.pk
    assert rosa.get(f"{path}/jobs", {"state": "queued"}).json()["results"] == []
    assert rosa.get(f"{path}/jobs", {"state": "lost"}).status_code == 400


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_export(path: str, rosa: Api, snapshot: Snapshot) -> None:
    body = {"shape": "pairs", "format": "jsonl", "snapshot": snapshot.pk}
    answer = rosa.post(f"{path}/exports", {**body, "options": {"side": "train"}})
    export = f"exports/{answer.json()['id']}"
    early = rosa.get(f"{export}/file")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    done(rosa, answer)
    told = rosa.get(export).json()
    assert (told["is_ready"], told["rows"], told["job"]["state"]) == (True, 3, "succeeded")
    file = rosa.get(f"{export}/file")
    assert file["Content-Disposition"].startswith("attachment")
    assert file["X-Content-Type-Options"] == "nosniff"
    rows = [json.loads(line) for line in content(file).splitlines()]
    assert all({"prompt", "chosen", "rejected"} <= set(row) for row in rows)
    assert [row["id"] for row in rosa.get(f"{path}/exports").json()["results"]] == [told["id"]]


def test_raw_judgments_as_parquet(cast: Cast, path: str, rosa: Api) -> None:
    judged(cast.project, Kind.THUMBS, 1, 0)
    answer = rosa.post(f"{path}/exports", {"shape": "judgments", "format": "parquet"})
    done(rosa, answer)
    file = rosa.get(f"exports/{answer.json()['id']}/file")
    assert content(file)[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shape": "circle"}, "shape"),
        ({"format": "csv"}, "format"),
        ({"snapshot": 10**6}, "snapshot"),
        ({"options": []}, "options"),
        ({"options": {"path": "/etc/passwd"}}, None),
        ({"snapshot": None}, None),
    ],
)
def test_bad_exports(
    path: str, rosa: Api, snapshot: Snapshot, change: dict[str, Any], field: str | None
) -> None:
    body = {"shape": "pairs", "format": "jsonl", "snapshot": snapshot.pk, **change}
    answer = rosa.post(f"{path}/exports", body)
    assert answer.status_code == 400
    assert list(answer.json().get("fields", {None: 0})) == [field]


def test_a_snapshot_of_another_project_is_unknown(
    cast: Cast, rosa: Api, snapshot: Snapshot
) -> None:
    other = make_project(name="Other")
    body = {"shape": "pairs", "format": "jsonl", "snapshot": snapshot.pk}
    answer = Api(cast.ada).post(f"projects/{other.pk}/exports", body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["snapshot"])
