from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import Job
from tests.cast import Cast

RUNNING = {"state": "running", "lease_until": timezone.now(), "started_at": timezone.now()}


def make_job(cast: Cast, **fields) -> Job:
    return Job.objects.create(
        **{
            "kind": "import_data",
            "queue": "default",
            "created_by": cast.rosa,
            "project_id": cast.project.pk,
            **fields,
        }
    )


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_waiting_job_asks_for_itself_until_it_is_over(cast: Cast) -> None:
    job = make_job(cast)
    client = sign_in(cast.rosa)
    page = client.get(reverse("core:job", args=[job.pk]))
    assert page.status_code == 200
    assert 'hx-trigger="every 1s"' in page.content.decode()
    Job.objects.filter(pk=job.pk).update(state="succeeded", finished_at=timezone.now())
    over = client.get(reverse("core:job", args=[job.pk]))
    assert over.status_code == 286
    assert over["HX-Trigger"] == "job-over"
    assert "hx-trigger" not in over.content.decode()


def test_it_shows_how_far_it_is_and_what_is_left(cast: Cast) -> None:
    begun = timezone.now().timestamp() - 60
    progress = {"done": 25, "total": 100, "message": "Importing", "begun_at": begun}
    job = make_job(cast, progress=progress, **RUNNING)
    page = sign_in(cast.rosa).get(reverse("core:job", args=[job.pk])).content.decode()
    assert "Importing" in page
    assert "25 %" in page
    assert "3 min left" in page


def test_a_failed_job_says_why(cast: Cast) -> None:
    job = make_job(cast, state="failed", error="No <file> there.", finished_at=timezone.now())
    page = sign_in(cast.rosa).get(reverse("core:job", args=[job.pk])).content.decode()
    assert "No &lt;file&gt; there." in page


@pytest.mark.parametrize(
    ("name", "sees"),
    [("rosa", True), ("mary", True), ("ada", True)]
    + [(name, False) for name in ("bob", "rita", "mallory")],
)
def test_its_creator_researchers_and_admins_see_it(cast: Cast, name: str, sees: bool) -> None:
    job = make_job(cast)
    client = sign_in(getattr(cast, name))
    assert (client.get(reverse("core:job", args=[job.pk])).status_code == 200) == sees
    cancelled = client.post(reverse("core:job-cancel", args=[job.pk]))
    assert cancelled.status_code == (286 if sees else 404)
    job.refresh_from_db()
    assert job.state == ("cancelled" if sees else "queued")


def test_a_job_of_no_project_is_its_creators(cast: Cast) -> None:
    job = make_job(cast, project_id=None)
    assert sign_in(cast.rosa).get(reverse("core:job", args=[job.pk])).status_code == 200
    assert sign_in(cast.mary).get(reverse("core:job", args=[job.pk])).status_code == 404


def test_cancelling_a_running_job_asks_it_and_twice_is_once(cast: Cast) -> None:
    job = make_job(cast, **RUNNING)
    client = sign_in(cast.rosa)
    for _ in range(2):
        page = client.post(reverse("core:job-cancel", args=[job.pk]))
        assert "Stopping" in page.content.decode()
    job.refresh_from_db()
    assert job.state == "running"
    assert job.cancel_requested_at is not None


def test_only_admins_stop_training(cast: Cast) -> None:
    job = make_job(cast, queue="gpu")
    url = reverse("core:job-cancel", args=[job.pk])
    page = sign_in(cast.rosa).get(reverse("core:job", args=[job.pk])).content.decode()
    assert url not in page
    assert sign_in(cast.rosa).post(url).status_code == 403
    job.refresh_from_db()
    assert job.state == "queued"
    assert url in sign_in(cast.ada).get(reverse("core:job", args=[job.pk])).content.decode()
    assert sign_in(cast.ada).post(url).status_code == 286


def test_a_get_cancels_nothing(cast: Cast) -> None:
    job = make_job(cast)
    assert sign_in(cast.rosa).get(reverse("core:job-cancel", args=[job.pk])).status_code == 405
