from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotation.models import Item, Prompt
from annotation.services.import_job import KEPT_SECONDS, folder_of, remove_old_uploads
from core import jobs
from core.models import Job
from tests.cast import Cast, make_project

PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def upload(*rows: object, name: str = "my pairs.jsonl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "".join(json.dumps(row) + "\n" for row in rows).encode())


def url(cast: Cast, name: str = "import", *args: int) -> str:
    return reverse(f"annotation:{name}", args=[cast.project.pk, *args])


def send(cast: Cast, client: Client, *files, **fields):
    return client.post(url(cast), {"format": "pairs", "files": list(files), **fields})


def test_an_upload_becomes_a_job_that_a_worker_runs(cast: Cast) -> None:
    client = sign_in(cast.rosa)
    reply = send(cast, client, upload(PAIR, {}))
    job = Job.objects.get()
    assert reply["Location"] == url(cast, "import-job", job.pk)
    assert (job.args["label"], job.project_id) == ("my pairs", cast.project.pk)
    assert 'hx-trigger="every 1s"' in client.get(reply["Location"]).content.decode()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded", job.error
    assert Item.objects.get().batch == "import:my pairs"
    report = client.get(reply["Location"], headers={"HX-Request": "true"}).content.decode()
    assert "1 of 2 rows were imported" in " ".join(report.split())
    assert "is missing" in report
    problems = client.get(url(cast, "import-problems", job.pk))
    assert b"".join(problems) == b"row 2, field chosen: is missing\n"
    assert problems["Content-Disposition"].startswith("attachment")


def test_a_dry_run_is_made_real_once(cast: Cast) -> None:
    client = sign_in(cast.rosa)
    send(cast, client, upload(PAIR), dry_run="on")
    dry = Job.objects.get()
    assert client.post(url(cast, "import-confirm", dry.pk)).status_code == 400
    jobs.run(dry.pk)
    assert not Prompt.objects.exists()
    assert "Import 1 row<" in client.get(url(cast, "import-job", dry.pk)).content.decode()
    for _ in range(2):
        client.post(url(cast, "import-confirm", dry.pk))
    real = Job.objects.exclude(pk=dry.pk).get()
    jobs.run(real.pk)
    assert Item.objects.count() == 1


def test_several_files_of_one_set_go_together(cast: Cast) -> None:
    row = {
        "idx": 0, "cmp_key": "a_b", "instruction": "Why?", "input": "", "response1": "x",
        "response2": "y", "annotator1": 1, "annotator2": 2, "annotator3": 0,
    }  # fmt: skip
    main = SimpleUploadedFile("testset-v1.json", json.dumps([row]).encode())
    verdicts = [{"idx": 0, "pandalm_result": 1}]
    judge = SimpleUploadedFile("pandalm-7b-testset-v1.json", json.dumps(verdicts).encode())
    send(cast, sign_in(cast.rosa), main, judge, format="pandalm")
    job = Job.objects.get()
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.result["counts"]["judgments"] == 4, job.error


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "xml"}, "Select a valid choice"),
        ({"files": []}, "This field is required"),
        ({"format": "llmfao"}, "also needs"),
        ({"label": "a\0"}, "Null characters"),
        ({"format": "squality"}, "correctness"),
    ],
)
def test_what_cannot_be_imported_is_told_on_the_page(cast: Cast, fields, words: str) -> None:
    cast.project.protocols.update(kinds=["pairwise", "listwise"])
    given = {"format": "pairs", "files": [upload(PAIR)], **fields}
    page = sign_in(cast.rosa).post(url(cast), given)
    assert page.status_code == 422
    assert words in page.content.decode()
    assert not Job.objects.exists()


def test_files_that_do_not_belong_are_refused(cast: Cast) -> None:
    page = send(cast, sign_in(cast.rosa), upload(PAIR), upload(PAIR, name="../../etc/passwd"))
    assert page.status_code == 422
    assert not Job.objects.exists()


@pytest.mark.parametrize(("name", "status"), [("mallory", 404), ("bob", 403), ("rita", 403)])
def test_who_may_not_import_does_not(cast: Cast, name: str, status: int) -> None:
    send(cast, sign_in(cast.rosa), upload(PAIR), dry_run="on")
    job = Job.objects.get()
    client = sign_in(getattr(cast, name))
    for method, path in [
        ("get", url(cast)),
        ("post", url(cast)),
        ("get", url(cast, "import-job", job.pk)),
        ("post", url(cast, "import-confirm", job.pk)),
        ("get", url(cast, "import-problems", job.pk)),
    ]:
        assert getattr(client, method)(path).status_code == status, path
    assert Job.objects.count() == 1


def test_a_job_of_another_project_is_not_found(cast: Cast) -> None:
    client = sign_in(cast.ada)
    send(cast, client, upload(PAIR))
    other = reverse("annotation:import-job", args=[make_project().pk, Job.objects.get().pk])
    assert client.get(other).status_code == 404


def test_old_uploads_are_removed_and_a_late_import_says_so(cast: Cast) -> None:
    send(cast, sign_in(cast.rosa), upload(PAIR))
    job = Job.objects.get()
    folder: Path = folder_of(job.args["folder"])
    assert remove_old_uploads() == 0
    long_ago = time.time() - KEPT_SECONDS - 60
    os.utime(folder, (long_ago, long_ago))
    assert remove_old_uploads() == 1
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "Upload them again" in job.error


def test_a_dry_run_from_before_gold_could_be_hidden_is_imported(cast: Cast) -> None:
    client = sign_in(cast.rosa)
    send(cast, client, upload(PAIR), dry_run="on")
    dry = Job.objects.get()
    Job.objects.update(args={key: dry.args[key] for key in dry.args if key != "hide_gold"})
    jobs.run(dry.pk)
    client.post(url(cast, "import-confirm", dry.pk))
    jobs.run(Job.objects.exclude(pk=dry.pk).get().pk)
    assert Item.objects.get().is_gold is False
