"""Every page of feedback: whom it serves, and that it shows what it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Kind, Side
from annotation.services.import_data import import_data
from core import jobs
from core.models import Job, User
from feedback.models import Export, Policy, Snapshot
from feedback.services.freeze_snapshot import freeze
from feedback.services.measure_agreement import measure_agreement
from feedback.services.policy import current_policy
from feedback.services.resolve_items import resolve_items
from tests.cast import Cast, make_project
from tests.feedback.votes import judge_annotator, judged, open_gate, vote

PAGES = ["agreement", "agreement-csv", "agreement-json", "preferences", "policy", "snapshots",
         "exports", "funnel"]  # fmt: skip


def as_user(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def address(cast: Cast, name: str, *more: int) -> str:
    return reverse(f"feedback:{name}", args=[cast.project.pk, *more])


def judge_all(cast: Cast, times: int = 1) -> None:
    for _ in range(times):
        for side in (Side.TRAIN, Side.HELD_OUT):
            item = judged(cast.project, Kind.PAIRWISE, 2, 1, side=side)
            vote(item, judge_annotator(), 2)
            judged(cast.project, Kind.LISTWISE, [1, 2, 3], [1, 3, 2], side=side)
            judged(cast.project, Kind.THUMBS, 1, 0, side=side)


@pytest.mark.parametrize("name", PAGES)
def test_empty_and_full(cast: Cast, client: Client, name: str) -> None:
    as_user(client, cast.rosa)
    assert client.get(address(cast, name)).status_code == 200
    judge_all(cast, 6)
    resolve_items(project=cast.project)
    measure_agreement(project=cast.project)
    freeze(project=cast.project, created_by=cast.rosa)
    assert client.get(address(cast, name)).status_code == 200


def test_an_export_begins_with_what_there_is(cast: Cast, client: Client) -> None:
    as_user(client, cast.rosa)
    page = address(cast, "exports")
    assert '<option value="judgments" selected>' in client.get(page).text
    for side in (Side.TRAIN, Side.HELD_OUT):
        judged(cast.project, Kind.THUMBS, 1, 1, side=side)
    resolve_items(project=cast.project)
    freeze(project=cast.project, created_by=cast.rosa)
    assert '<option value="binary" selected>' in client.get(page).text
    judge_all(cast, 6)
    resolve_items(project=cast.project)
    freeze(project=cast.project, created_by=cast.rosa)
    assert '<option value="pairs" selected>' in client.get(page).text
    older = Snapshot.objects.earliest("pk").pk
    assert '<option value="binary" selected>' in client.get(page, {"snapshot": older}).text


def test_a_filter_that_means_nothing_shows_all(cast: Cast, client: Client) -> None:
    judge_all(cast)
    resolve_items(project=cast.project)
    address_of_all = address(cast, "preferences")
    for query in ("?state=\0", "?criterion=\0", "?state=lost&criterion=lost"):
        reply = as_user(client, cast.rosa).get(address_of_all + query.replace("\0", "%00"))
        assert reply.context["page"].paginator.count == 6


@pytest.mark.parametrize("name", PAGES)
def test_stranger_and_weaker_role(cast: Cast, client: Client, name: str) -> None:
    assert as_user(client, cast.mallory).get(address(cast, name)).status_code == 404
    assert as_user(client, cast.bob).get(address(cast, name)).status_code == 403
    assert as_user(client, cast.rita).get(address(cast, name)).status_code == 403
    assert as_user(client, cast.ada).get(address(cast, name)).status_code == 200


def test_agreement_in_words_and_in_files(cast: Cast, client: Client) -> None:
    as_user(client, cast.rosa)
    page = client.get(address(cast, "agreement")).content.decode()
    assert "Nothing to compare yet" in page
    judge_all(cast, 2)
    measure_agreement(project=cast.project)
    page = client.get(address(cast, "agreement")).content.decode()
    assert "It cannot be said yet how well people agree. Not enough data" in page
    judge_all(cast, 4)
    measure_agreement(project=cast.project)
    page = client.get(address(cast, "agreement")).content.decode()
    assert "People agree" in page
    assert "gpt-4 v1 answers as a person does in 100 % of cases" in page
    table = client.get(address(cast, "agreement-csv")).content.decode().splitlines()
    assert any(line.startswith("pairwise,overall,People,percent,1.0") for line in table)
    kinds = [one["kind"] for one in client.get(address(cast, "agreement-json")).json()["reports"]]
    assert kinds == ["pairwise", "listwise", "thumbs"]


def test_measuring_again_is_one_job(cast: Cast, client: Client) -> None:
    as_user(client, cast.rosa)
    for _ in range(2):
        assert client.post(address(cast, "measure")).status_code == 302
    assert Job.objects.filter(kind="measure_agreement").count() == 1


def test_freezing(cast: Cast, client: Client) -> None:
    as_user(client, cast.rosa)
    refused = client.post(address(cast, "freeze"), {"note": "too early"})
    assert (refused.status_code, b"would be empty" in refused.content) == (400, True)
    judge_all(cast)
    asked = client.post(address(cast, "freeze"), {"note": "first"}, follow=True)
    assert b"Freezing a snapshot" in asked.content
    job = Job.objects.get(kind="freeze_snapshot")
    jobs.run(job.pk)
    job.refresh_from_db()
    done = client.get(address(cast, "freezing", job.pk), follow=True)
    assert done.redirect_chain[-1][0] == address(cast, "snapshot", Snapshot.objects.get().pk)
    assert Snapshot.objects.get().content_hash in done.content.decode()
    assert b"are contested" in done.content
    # Asked for by the page that waits, for a snapshot that was there already.
    Job.objects.filter(pk=job.pk).update(result=job.result | {"is_new": False})
    waited = client.get(address(cast, "freezing", job.pk), headers={"HX-Request": "true"})
    assert waited["HX-Redirect"] == address(cast, "snapshot", Snapshot.objects.get().pk)
    assert "Nothing has changed since" in client.get(waited["HX-Redirect"]).text


def test_what_an_import_closed_too_soon_is_told_with_the_way_out(
    cast: Cast, client: Client, tmp_path: Path
) -> None:
    as_user(client, cast.rosa)
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = import_data(project=cast.project, format_name="pairs", path=file)
    job = Job.objects.create(
        kind="import_data", queue="default", project_id=cast.project.pk, state="succeeded",
        finished_at=timezone.now(), result=report.as_json(), args={"dry_run": False},
    )  # fmt: skip
    resolve_items(project=cast.project)
    part = address(cast, "imported-closed", job.pk)
    assert part in client.get(reverse("annotation:import-job", args=[cast.project.pk, job.pk])).text
    told = client.get(part).text
    assert "3 imported items are closed with fewer judgments than the 2 that" in told
    assert address(cast, "policy") in told
    for page in (client.get(address(cast, "snapshots")), client.post(address(cast, "freeze"))):
        assert "3 cannot be decided as it is: the policy waits for 2 judgments" in page.text
    assert (page.status_code, "Nobody is asked about a closed item" in page.text) == (400, True)
    # As older imports told it, without kinds and judges.
    Job.objects.filter(pk=job.pk).update(result={"closed": [{"people": 1, "items": 3}]})
    assert "3 imported items are closed with fewer" in client.get(part).text
    Policy.objects.update(min_judgments=1)
    assert not client.get(part).text.strip()
    other = make_project(name="Another")
    elsewhere = Job.objects.create(kind="import_data", queue="default", project_id=other.pk)
    assert client.get(address(cast, "imported-closed", elsewhere.pk)).status_code == 404


@pytest.mark.parametrize(
    ("count_judges", "is_open", "least", "told"),
    [
        (False, True, 1, "none of which counts"),
        (True, False, 1, "none of which counts"),
        (True, True, 1, ""),
        (True, True, 2, "Lower the number in the policy"),
    ],
)
def test_an_imported_verdict_counts_as_its_judge_does(
    cast: Cast, client: Client, tmp_path: Path, count_judges: bool, is_open: bool, least: int,
    told: str,
) -> None:  # fmt: skip
    as_user(client, cast.rosa)
    texts = [{"generator": name, "text": name} for name in ("a", "b")]
    row = {"prompt": "Why?", "responses": texts, "judgments": [{"judge": "gpt-4", "winner": 0}]}
    file = tmp_path / "verdicts.jsonl"
    file.write_text(json.dumps(row) + "\n")
    report = import_data(project=cast.project, format_name="jsonl", path=file)
    job = Job.objects.create(
        kind="import_data", queue="default", project_id=cast.project.pk, result=report.as_json()
    )
    current_policy(cast.project)
    Policy.objects.update(count_judges=count_judges, min_judgments=least)
    if is_open:
        open_gate(cast.project, judge_annotator(), Kind.PAIRWISE)
    said = client.get(address(cast, "imported-closed", job.pk)).text.strip()
    assert told in said
    assert bool(said) == bool(told)
    decided = resolve_items(project=cast.project).states
    assert bool(decided["accepted"]) != bool(told)


def test_a_snapshot_is_seen_in_its_project_only(cast: Cast, client: Client) -> None:
    from tests.cast import make_project

    judge_all(cast)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    other = make_project(name="Other")
    as_user(client, cast.ada)
    assert client.get(address(cast, "snapshot", snapshot.pk)).status_code == 200
    route = reverse("feedback:snapshot", args=[other.pk, snapshot.pk])
    assert client.get(route).status_code == 404
    assert client.post(address(cast, "snapshot-verify", snapshot.pk)).status_code == 302


def test_exporting_and_downloading(cast: Cast, client: Client) -> None:
    judge_all(cast)
    snapshot = freeze(project=cast.project, created_by=None).snapshot
    as_user(client, cast.rosa)
    sent = {"shape": "pairs", "snapshot": snapshot.pk, "format": "jsonl", "side": "both"}
    assert client.post(address(cast, "exports"), sent).status_code == 302
    export = Export.objects.get()
    assert client.get(address(cast, "download", export.pk)).status_code == 409
    assert export.job is not None
    jobs.run(export.job.pk)
    reply = client.get(address(cast, "download", export.pk))
    assert reply["Content-Disposition"].startswith("attachment; filename=")
    assert reply["X-Content-Type-Options"] == "nosniff"
    body = b"".join(reply.streaming_content)  # type: ignore[attr-defined]
    export.refresh_from_db()
    assert len(body.splitlines()) == export.rows
    assert as_user(client, cast.bob).get(address(cast, "download", export.pk)).status_code == 403
    assert (
        as_user(client, cast.mallory).get(address(cast, "download", export.pk)).status_code == 404
    )


def test_a_bad_export_form_is_shown_again(cast: Cast, client: Client) -> None:
    as_user(client, cast.rosa)
    reply = client.post(address(cast, "exports"), {"shape": "nonsense"})
    assert reply.status_code == 422
    assert not Export.objects.exists()


@pytest.mark.parametrize("name", ["preferences", "snapshots", "exports", "agreement"])
def test_reads_do_not_grow_with_rows(
    cast: Cast, client: Client, name: str, django_assert_max_num_queries: Any
) -> None:
    judge_all(cast, 10)
    freeze(project=cast.project, created_by=cast.rosa)
    measure_agreement(project=cast.project)
    as_user(client, cast.rosa)
    with django_assert_max_num_queries(16):
        client.get(address(cast, name))


def test_home_says_what_waits(cast: Cast, client: Client) -> None:
    route = reverse("feedback:home-decisions")
    judge_all(cast)
    resolve_items(project=cast.project)
    measure_agreement(project=cast.project)
    for user, shown in (
        (cast.rosa, True), (cast.rita, True), (cast.ada, True), (cast.bob, False),
        (cast.mallory, False),
    ):  # fmt: skip
        page = as_user(client, user).get(route).content.decode()
        assert ("Helpful answers" in page) == shown
        assert ("It cannot be said yet" in page) == (user in (cast.rosa, cast.ada))
