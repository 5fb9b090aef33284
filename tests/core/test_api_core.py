"""Jobs and tokens by REST, and the page that shows the API to people."""

from __future__ import annotations

import pytest
from django.test import Client

from core import jobs
from core.models import Job
from tests.api import Api
from tests.cast import Cast


@pytest.fixture
def job(cast: Cast) -> Job:
    return jobs.enqueue("resolve_items", created_by=cast.rosa, project_id=cast.project.pk)


def test_a_job_is_followed_and_cancelled(cast: Cast, job: Job) -> None:
    rosa = Api(cast.rosa)
    told = rosa.get(f"jobs/{job.pk}").json()
    assert (told["state"], told["is_over"], told["share_done"]) == ("queued", False, None)
    assert "args" not in told
    for _ in range(2):
        assert rosa.post(f"jobs/{job.pk}/cancel").json()["state"] == "cancelled"
    assert rosa.post(f"jobs/{job.pk}/resume").json()["state"] == "queued"
    assert rosa.post(f"jobs/{job.pk}/resume").status_code == 409


def test_who_sees_a_job(cast: Cast, job: Job) -> None:
    seen = {
        user.username: Api(user).get(f"jobs/{job.pk}").status_code
        for user in vars(cast).values()
        if hasattr(user, "username")
    }
    assert seen == {
        "mary": 200, "rosa": 200, "ada": 200,
        "rita": 404, "bob": 404, "lena": 404, "mallory": 404,
    }  # fmt: skip


def test_tokens(cast: Cast) -> None:
    bob = Api(cast.bob)
    (row,) = bob.get("tokens").json()["results"]
    assert row["scopes"] == ["read", "judge", "write"]
    assert not {"digest", "token"} & set(row)
    assert bob.post(f"tokens/{row['id']}/revoke").json()["is_live"] is False
    refused = bob.get("tokens")
    assert (refused.status_code, refused.json()["code"]) == (401, "authentication_failed")


def test_no_token_is_made_by_a_token(cast: Cast) -> None:
    assert Api(cast.ada).post("tokens", {"name": "more", "scopes": ["admin"]}).status_code == 405


def test_the_docs_are_for_those_who_sign_in(cast: Cast, client: Client) -> None:
    assert client.get("/api/docs/").status_code == 302
    client.force_login(cast.bob)
    page = client.get("/api/docs/")
    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert b"<style" not in page.content
    assert b"style=" not in page.content


def test_errors_have_one_shape(cast: Cast) -> None:
    for answer in (
        Api(None).get("projects"),
        Api(cast.bob).get("projects/999999"),
        Api(cast.bob).get("projects", {"x": 1}),
        Api(cast.bob).post(f"projects/{cast.project.pk}/snapshots"),
        Api(cast.bob).call("DELETE", "projects"),
        Api(cast.bob).get("no/such/address"),
        Client().post("/api/projects/"),
    ):
        assert answer["Content-Type"] == "application/json"
        assert {"code", "detail"} <= set(answer.json()) <= {"code", "detail", "fields"}
        assert isinstance(answer.json()["code"], str)
