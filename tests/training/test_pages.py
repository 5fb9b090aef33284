"""The pages of training: what they show, to whom, and what a form may do."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core import health
from core.jobs import sweep
from core.models import Job
from tests.cast import Cast
from tests.training.conftest import TINY, Launch
from tests.training.test_promotion import make_version
from training.models import Evaluation, MetricPoint, ModelVersion, Sample, TrainingRun
from training.selectors.promotion import promoted_version
from training.selectors.run import run_settings
from training.services import promote_version
from training.services.supervise import run_folder

FIGURES = {
    "held_out": {
        "examples": 12,
        "prompts": 11,
        "accuracy": {"value": 0.75, "low": 0.58, "high": 0.91},
        "reward_margin": {"value": 0.12, "low": None, "high": None},
    },
    "length": {"difference": {"value": -12.4, "low": None, "high": None}},
    "kl": {"k1": {"value": 0.8, "low": 0.5, "high": 1.1}, "tokens": 90, "prompts": 4,
           "temperature": 1.0, "unit": "nats per response"},
}  # fmt: skip


@pytest.fixture
def run(launch: Launch) -> TrainingRun:
    """A run that has trained two steps."""
    run = launch(name="First try")
    Job.objects.filter(pk=run.job_id).update(
        state=Job.State.RUNNING, lease_until=timezone.now(), started_at=timezone.now(),
        progress={"done": 2, "total": 6, "message": "Training"},
    )  # fmt: skip
    for step, loss in ((1, 0.6931), (2, 0.5)):
        MetricPoint.objects.create(run=run, step=step, name="loss", value=loss)
    run.refresh_from_db()
    return run


@pytest.fixture
def version(run: TrainingRun, cast: Cast) -> ModelVersion:
    version = make_version(cast, 1)
    ModelVersion.objects.filter(pk=version.pk).update(run=run, lineage={"weights_hash": "abc123"})
    Evaluation.objects.create(version=version, snapshot=run.snapshot, figures=FIGURES)
    Job.objects.filter(pk=run.job_id).update(
        state=Job.State.SUCCEEDED, lease_until=None, finished_at=timezone.now()
    )
    Sample.objects.create(
        run=run, position=0, prompt_messages=[{"role": "user", "content": "Why?"}],
        policy_text="Because **so**.", reference_text="No <b>idea</b>.",
    )  # fmt: skip
    version.refresh_from_db()
    return version


@pytest.fixture
def admin(cast: Cast, client: Client) -> Client:
    client.force_login(cast.ada)
    return client


def page(client: Client, name: str, *args: Any, status: int = 200, **data: Any) -> str:
    response = client.get(reverse(f"training:{name}", args=args), data)
    assert response.status_code == status
    return response.content.decode()


def test_a_run_in_progress(admin: Client, run: TrainingRun) -> None:
    shown = page(admin, "run", run.project_id, run.pk)
    for words in ("First try", "step 2 of 6", "Stop", "<svg", "every 1s"):
        assert words in shown
    # Curves that have numbers, once there are any.
    assert "What training lowers" in shown
    assert "Log-probabilities" not in shown
    assert "What changed" not in shown
    state = page(admin, "run-state", run.project_id, run.pk)
    assert "step 2 of 6" in state
    assert "First try" in page(admin, "runs")
    assert "First try" in page(admin, "project-runs", run.project_id)


def test_the_time_left_is_what_the_worker_foretold(admin: Client, run: TrainingRun) -> None:
    progress = run.job.progress | {"begun_at": 0.0, "begun_share": 0.1, "seconds_left": 90.0}
    Job.objects.filter(pk=run.job_id).update(progress=progress)
    assert "2 min left" in page(admin, "run-state", run.project_id, run.pk)


def test_the_estimate_is_held_against_what_the_run_took(
    admin: Client, launch: Launch, version: ModelVersion
) -> None:
    run = version.run
    assert run is not None
    assert run.estimate["seconds"] > 0
    assert run.estimate["bytes"] > 2**29
    now = timezone.now()
    TrainingRun.objects.filter(pk=run.pk).update(
        estimate={"seconds": 480.0, "bytes": 4 * 2**30, "basis": "a rule of thumb"}
    )
    Job.objects.filter(pk=run.job_id).update(
        started_at=now - timedelta(minutes=10), finished_at=now, fence=1,
        result={"version": 1, "peak_bytes": 5 * 2**30},
    )  # fmt: skip
    shown = page(admin, "run", run.project_id, run.pk)
    assert "<dt>Estimated</dt><dd>4.0 GiB, 8 minutes</dd>" in shown
    assert "<dt>Took</dt><dd>5.0 GiB, 10 minutes</dd>" in shown
    Job.objects.filter(pk=run.job_id).update(fence=2)
    assert "10 minutes since it was last taken up" in page(admin, "run", run.project_id, run.pk)
    waiting = page(admin, "run", run.project_id, launch().pk)
    assert "<dt>Estimated</dt>" in waiting
    assert "<dt>Took</dt>" not in waiting


def test_a_run_that_waits_for_workers_that_are_not_there(admin: Client, launch: Launch) -> None:
    run = launch()
    words = "No worker has been heard of"
    health.LAST_SWEEP.unlink(missing_ok=True)
    for name in ("run", "run-state"):
        assert words in page(admin, name, run.project_id, run.pk)
    assert sweep()
    assert words not in page(admin, "run-state", run.project_id, run.pk)


def test_settings_in_the_registrys_order_and_no_others(admin: Client, run: TrainingRun) -> None:
    """The row's JSON has an order of its own."""
    names = [name for name, _ in run_settings(run)]
    assert names[:4] == ["beta", "normalisation", "nll weight", "seed"]
    assert names.index("learning rate") < names.index("batch size")
    assert not {"score zero", "chat texts", "lora rank", "temperature"} & set(names)


@pytest.mark.parametrize(("divergence", "is_told"), [("jensen_shannon", False), ("alpha", True)])
def test_a_setting_that_another_leaves_without_effect_is_not_told(
    launch: Launch, divergence: str, is_told: bool
) -> None:
    run = launch("f_dpo", config={"hyperparameters": {"divergence": divergence}})
    assert ("alpha" in dict(run_settings(run))) is is_told


def test_a_run_is_launched_again_with_changes(admin: Client, launch: Launch, cast: Cast) -> None:
    config = {"hyperparameters": {"beta": 0.3}, "soft_labels": True, "adapter": "lora"}
    run = launch(name="First try", config=config)
    shown = page(admin, "run", run.project_id, run.pk)
    [query] = re.findall(r'href="[^"]*/runs/new/\?([^"]+)">Launch another', shown)
    url = reverse("training:launch", args=[run.project_id])
    given = form_data(admin.get(f"{url}?{html.unescape(query)}").text) | {"max_length": "190"}
    assert admin.post(url, given).status_code == 302
    again = TrainingRun.objects.exclude(pk=run.pk).get()
    assert again.config == run.config | {"max_length": 190}
    assert (again.name, again.base_model, again.snapshot) == (run.name, TINY, run.snapshot)
    client = Client()
    client.force_login(cast.rosa)  # who may look, not launch
    assert "Launch another" not in page(client, "run", run.project_id, run.pk)


def test_a_table_of_runs_says_methods_and_models_in_words(admin: Client, launch: Launch) -> None:
    run = launch("reward_bradley_terry", base_model=TINY)
    TrainingRun.objects.filter(pk=run.pk).update(base_model="version:3")
    shown = page(admin, "project-runs", run.project_id)
    assert "Bradley–Terry reward model, overall" in shown
    assert "version 3" in shown


def test_the_end_of_a_run_loads_the_page_anew(admin: Client, version: ModelVersion) -> None:
    assert version.run is not None
    url = reverse("training:run-state", args=[version.project_id, version.run.pk])
    response = admin.get(url)
    assert (response.status_code, response["HX-Refresh"]) == (286, "true")


def test_a_finished_run_tells_what_changed(admin: Client, version: ModelVersion) -> None:
    assert version.run is not None
    shown = page(admin, "run", version.project_id, version.run.pk)
    assert "On 12 held-out examples the new model sides with the judges in 75 %" in shown
    assert "its answers are 12 tokens shorter" in shown
    assert "in 75 % of cases (58 to 91)" in shown
    assert "Because <strong>so</strong>." in shown
    assert "<b>idea</b>" not in shown
    assert "every 1s" not in shown


def test_the_numbers_of_the_plots(admin: Client, run: TrainingRun) -> None:
    rows = page(admin, "run-metrics", run.project_id, run.pk).splitlines()
    assert rows == ["step,metric,value", "1,loss,0.6931", "2,loss,0.5"]


def test_a_failed_run_says_why(admin: Client, run: TrainingRun) -> None:
    Job.objects.filter(pk=run.job_id).update(
        state=Job.State.FAILED, error="a.jsonl, row 1: <odd>\na.jsonl, row 2: odd",
        lease_until=None, finished_at=timezone.now(),
    )  # fmt: skip
    shown = page(admin, "run", run.project_id, run.pk)
    assert "a.jsonl, row 1: &lt;odd&gt;<br>a.jsonl, row 2: odd" in shown
    assert "Resume" in shown


def form_data(html: str) -> dict[str, str]:
    """What a browser would send of a form that nobody has touched."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.data: dict[str, str] = {}
            self.select = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = {name: value or "" for name, value in attrs}
            name = values.get("name", "")
            if tag == "input" and name and values.get("type") != "checkbox":
                self.data[name] = values.get("value", "")
            elif tag == "input" and name and "checked" in values:
                self.data[name] = values.get("value") or "on"
            elif tag == "select":
                self.select = name
            elif tag == "option" and ("selected" in values or self.select not in self.data):
                self.data[self.select] = values.get("value", "")

    reader = Reader()
    reader.feed(html)
    return reader.data


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_a_run_is_launched_from_the_form(admin: Client, cast: Cast) -> None:
    shown = page(admin, "launch", cast.project.pk)
    for words in ("How strongly the policy is held", "Learning rate", "Advanced", TINY):
        assert words in shown
    given = form_data(shown) | {"base_model": TINY, "max_steps": "3", "learning_rate": "1e-5"}
    url = reverse("training:launch", args=[cast.project.pk])
    for _ in range(2):  # a double click
        response = admin.post(url, given)
    run = TrainingRun.objects.get()
    assert response["Location"] == reverse("training:run", args=[cast.project.pk, run.pk])
    assert run.config["max_steps"] == 3
    assert run.config["hyperparameters"]["beta"] == 0.1
    assert run.created_by == cast.ada


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_a_form_that_comes_back_changed_is_told_and_kept(admin: Client, cast: Cast) -> None:
    """As a browser's Back brings it: with the key of the run that it launched."""
    url = reverse("training:launch", args=[cast.project.pk])
    shown = admin.get(url)
    assert "no-store" in shown["Cache-Control"]
    given = form_data(shown.content.decode()) | {"base_model": TINY, "max_steps": "3"}
    admin.post(url, given)
    first = TrainingRun.objects.get()
    response = admin.post(url, given | {"max_steps": "4"})
    again = response.content.decode()
    assert response.status_code == 422
    said = f"Run {first.pk} was launched from this form already, with other settings."
    assert f"{said} Launch again to start another run with these." in again
    kept = form_data(again)
    assert kept["max_steps"] == "4"
    assert kept["client_key"] != given["client_key"]
    assert admin.post(url, kept).status_code == 302
    assert sorted(run.config["max_steps"] for run in TrainingRun.objects.all()) == [3, 4]


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_the_form_follows_the_choice_without_script(admin: Client, cast: Cast) -> None:
    """Not by a GET: the address would show the form's secret."""
    for page_name in ("launch", "new-recipe"):
        url = reverse(f"training:{page_name}", args=[cast.project.pk])
        shown = admin.get(url).content.decode()
        assert 'formmethod="get"' not in shown
        sent = form_data(shown) | {"rebuild": "1", "adapter": "lora", "max_length": "100"}
        response = admin.post(url, sent)
        data = form_data(response.content.decode())
        assert (response.status_code, data["max_length"]) == (200, "100")
        assert "LoRA rank" in response.content.decode()
    assert not TrainingRun.objects.exists()


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_the_form_follows_the_choice(admin: Client, cast: Cast) -> None:
    shown = page(admin, "launch", cast.project.pk, method="kto", adapter="lora", max_steps="7",
                 learning_rate="1e-06")  # fmt: skip
    assert "LoRA rank" in shown
    assert "Desirable weight" in shown
    assert "Also make binary data from pairs" in shown
    data = form_data(shown)
    assert (data["max_steps"], data["learning_rate"]) == ("7", "0.0001")
    assert "LoRA rank" not in page(admin, "launch", cast.project.pk)
    data |= {"base_model": TINY}
    admin.post(reverse("training:launch", args=[cast.project.pk]), data)
    run = TrainingRun.objects.get()
    assert (run.method, run.config["adapter"], run.config["lora_rank"]) == ("kto", "lora", 16)


@pytest.mark.usefixtures("snapshot", "tiny_model_folder")
def test_a_wrong_number_is_told_at_its_field(admin: Client, cast: Cast) -> None:
    given = form_data(page(admin, "launch", cast.project.pk)) | {"batch_size": "0"}
    response = admin.post(reverse("training:launch", args=[cast.project.pk]), given)
    assert response.status_code == 422
    assert "Enter a whole number from 1 to 65,536." in response.content.decode()
    given |= {"batch_size": "2", "base_model": "../../etc"}
    assert admin.post(reverse("training:launch", args=[cast.project.pk]), given).status_code == 422
    assert not TrainingRun.objects.exists()


def test_without_a_snapshot_the_page_says_what_to_do(admin: Client, cast: Cast) -> None:
    assert "Freeze a snapshot first" in page(admin, "launch", cast.project.pk)


def test_stop_and_resume(admin: Client, run: TrainingRun) -> None:
    admin.post(reverse("training:run-cancel", args=[run.project_id, run.pk]))
    run.job.refresh_from_db()
    assert run.job.cancel_requested_at is not None
    assert "saving its state" in page(admin, "run-state", run.project_id, run.pk)
    Job.objects.filter(pk=run.job_id).update(state="cancelled", finished_at=timezone.now())
    admin.post(reverse("training:run-resume", args=[run.project_id, run.pk]))
    run.job.refresh_from_db()
    assert run.job.state == Job.State.QUEUED


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ({}, "They are drawn as soon as the run trains."),
        ({"state": "running", "lease_until": timezone.now()}, "No numbers yet."),
        (
            {"state": "cancelled", "finished_at": timezone.now()},
            "Nothing was measured before the run ended.",
        ),
    ],
)
def test_where_nothing_is_measured_words_say_so(
    admin: Client, launch: Launch, moment: dict[str, Any], words: str
) -> None:
    run = launch()
    Job.objects.filter(pk=run.job_id).update(**{"state": "queued"} | moment)
    for name in ("run", "run-live"):
        url = reverse(f"training:{name}", args=[run.project_id, run.pk])
        shown = admin.get(url).text
        assert words in shown
        assert ('class="plot card"' in shown) is (moment.get("state") == "running")


def said(client: Client, name: str, run: TrainingRun) -> str:
    url = reverse(f"training:{name}", args=[run.project_id, run.pk])
    return client.post(url, follow=True).content.decode()


def test_what_stopping_and_resuming_say_is_true(
    admin: Client, launch: Launch, settings: Any, tmp_path: Path
) -> None:
    run = launch()
    settings.DATA_DIR = tmp_path
    for _ in range(2):
        shown = said(admin, "run-cancel", run)
        assert "The run is stopped." in shown
        assert "saves its state" not in shown
    assert "left no checkpoint, so it begins anew" in said(admin, "run-resume", run)
    now = timezone.now()
    Job.objects.filter(pk=run.job_id).update(state=Job.State.RUNNING, lease_until=now)
    assert "is asked to stop. It saves its state first." in said(admin, "run-cancel", run)
    Job.objects.filter(pk=run.job_id).update(state=Job.State.FAILED, finished_at=now)
    (run_folder(run) / "output/checkpoints/step-00000002").mkdir(parents=True)
    assert "goes on from its last checkpoint" in said(admin, "run-resume", run)
    assert "not resumed. Only a failed or cancelled job" in said(admin, "run-resume", run)
    # Training is over and has cleared up; what follows it failed.
    (run_folder(run) / "output/checkpoints/step-00000002").rmdir()
    (run_folder(run) / "output/result.json").touch()
    Job.objects.filter(pk=run.job_id).update(state=Job.State.FAILED, finished_at=now)
    assert "It is trained already" in said(admin, "run-resume", run)
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED, finished_at=now)
    assert "The run was over already." in said(admin, "run-cancel", run)


def test_a_version_and_its_way_back(admin: Client, version: ModelVersion) -> None:
    shown = page(admin, "version", version.project_id, 1)
    for words in ("Where it comes from", "abc123", "First try", "Snapshot 1", "Promote"):
        assert words in shown
    assert "Version 1" in page(admin, "versions", version.project_id)
    assert "Version 1" in page(admin, "models")


def test_a_promotion_is_confirmed_by_words(admin: Client, version: ModelVersion) -> None:
    project = version.project
    url = reverse("training:promote", args=[project.pk, 1])
    refused = admin.post(url, {"confirm": "yes", "replacing": ""})
    assert refused.status_code == 422
    assert promoted_version(project) is None
    admin.post(url, {"confirm": "Promote version 1", "replacing": "", "note": "fine"})
    assert promoted_version(project) == version
    assert admin.post(url, {"confirm": "promote version 1", "replacing": ""}).status_code == 409


def test_a_roll_back_is_confirmed_by_words(admin: Client, cast: Cast) -> None:
    first, second = (make_version(cast, number) for number in (1, 2))
    promote_version(version=first, replacing=None, by=cast.ada)
    promote_version(version=second, replacing=first, by=cast.ada)
    url = reverse("training:roll-back", args=[cast.project.pk, 2])
    assert "Roll back to version 1" in page(admin, "version", cast.project.pk, 2)
    assert admin.post(url, {"confirm": "no"}).status_code == 422
    assert admin.post(url, {"confirm": "roll back"}).status_code == 302
    assert promoted_version(cast.project) == first


def test_the_loop_names_what_is_trained(admin: Client, launch: Launch, cast: Cast) -> None:
    run = launch("dpo", name="Slow and steady")
    link = f'Training: <a href="{reverse("training:run", args=[cast.project.pk, run.pk])}">Slow'
    assert link in page(admin, "loop", cast.project.pk)


@pytest.mark.usefixtures("tiny_model_folder")
def test_sampling_is_asked_for_and_shown(admin: Client, version: ModelVersion, cast: Cast) -> None:
    promote_version(version=version, replacing=None, by=cast.ada)
    (settings.DATA_DIR / version.folder).mkdir(parents=True, exist_ok=True)
    given = form_data(page(admin, "version", cast.project.pk, 1))
    url = reverse("training:sample", args=[cast.project.pk, 1])
    refused = admin.post(url, given | {"limit": "0"})
    assert refused.status_code == 422
    assert "Enter a whole number from 1 to 100,000." in refused.text
    response = admin.post(url, given | {"limit": "3", "sides": "all", "max_new_tokens": "20"})
    assert response["Location"] == reverse("training:loop", args=[cast.project.pk])
    assert Job.objects.filter(kind="sample_responses").count() == 1
    shown = page(admin, "loop", cast.project.pk)
    assert "A model answers prompts" in shown
    for words in ("Round 1", "Waiting for a worker", "Version 1", "Snapshot 1"):
        assert words in shown
    assert "promoted" in page(admin, "funnel", cast.project.pk)
    assert "Version 1 is promoted" in page(admin, "home-loop")


def pages_of(version: ModelVersion) -> Iterator[tuple[str, str, list[Any]]]:
    assert version.run is not None
    run = [version.run.pk]
    for name, more in (
        ("project-runs", []), ("run", run), ("run-state", run), ("run-live", run),
        ("run-log", run), ("run-metrics", run), ("versions", []), ("version", [1]), ("loop", []),
        ("funnel", []),
    ):  # fmt: skip
        yield "get", name, [version.project_id, *more]
    for name, more in (
        ("run-cancel", run), ("run-resume", run), ("promote", [1]), ("roll-back", [1]),
        ("sample", [1]), ("launch", []),
    ):  # fmt: skip
        yield "post", name, [version.project_id, *more]


@pytest.mark.parametrize(
    ("who", "may_get", "may_post"),
    [("mallory", 404, 404), ("bob", 403, 403), ("rita", 403, 403), ("rosa", 200, 403),
     ("mary", 200, 403)],
)  # fmt: skip
def test_who_may_what(
    client: Client, version: ModelVersion, cast: Cast, who: str, may_get: int, may_post: int
) -> None:
    client.force_login(getattr(cast, who))
    found = {}
    for method, name, args in pages_of(version):
        status = getattr(client, method)(reverse(f"training:{name}", args=args)).status_code
        found[name] = 200 if status == 286 else status
        expected = may_get if method == "get" else may_post
        assert found[name] == expected, name
    for name in ("runs", "models", "home-loop"):
        assert client.get(reverse(f"training:{name}")).status_code == 403


def test_another_projects_rows_are_not_found(admin: Client, version: ModelVersion) -> None:
    from tests.cast import make_project

    other = make_project(name="Other")
    assert version.run is not None
    page(admin, "run", other.pk, version.run.pk, status=404)
    page(admin, "version", other.pk, 1, status=404)


def test_a_web_process_never_loads_torch(process_environment: dict[str, str]) -> None:
    """Nor its kin: memory and seconds that the pages do not need."""
    program = (
        "import sys, config.wsgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().reverse_dict\n"
        "for app in ('core', 'annotation', 'feedback', 'training'):\n"
        "    __import__(f'{app}.urls'); __import__(f'{app}.api_urls'); __import__(f'{app}.tasks')\n"
        "kin = {'torch', 'transformers', 'accelerate', 'peft', 'safetensors'}\n"
        "heavy = kin & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=process_environment, cwd=settings.BASE_DIR, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "heavy: []"
