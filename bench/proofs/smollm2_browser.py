"""SmolLM2 trained on PandaLM's human judgments on the platform, from the browser and by command.

`make run`'s own programs serve a fresh instance: the short pairs are imported with their three
annotators' votes and decided by the workers; in Chromium a snapshot is frozen and two methods are
launched from the form, one after the other. `manage.py train` has the same worker train by the
others. The figures are those of each version's evaluation page, which Chromium opens. With
PREFLOOP_PROOF_FOLDER the pages' pictures are kept there.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from bench.load.labeling import say
from bench.load.server import Service, database, port, web
from bench.proofs.smollm2 import LONGEST, check_offline, described
from bench.training import pandalm
from tests.programs import browser_flags, chromium

FROM_FORM = ("dpo", "ipo")
BY_COMMAND = (
    "sft", "cdpo", "robust_dpo", "dpop", "simpo", "orpo", "cpo", "slic_hf", "kto",
)  # fmt: skip
# As without the platform: 8 steps of 8 pairs at 1e-5. What is not named keeps the form's default.
FIELDS = {
    "max_steps": 8, "batch_size": 8, "gradient_accumulation": 1, "learning_rate": 1e-5,
    "warmup_steps": 2, "max_length": 384, "max_prompt_length": 192, "evaluation_limit": 8,
    "evaluate_every": 4, "sample_prompts": 4, "sample_max_new_tokens": 24, "checkpoint_every": 8,
}  # fmt: skip
PATIENCE = 1800.0  # seconds for a run on two cores


def run() -> dict[str, Any]:
    # Django refuses to work beside Playwright's sleeping loop, in the thread where it sleeps.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with database() as data, web(), workers(data):
        password = secrets.token_urlsafe(16)
        project, accepted = imported(data, password)
        with browser_page() as page:
            sign_in(page, password)
            freeze(page, project)
            told = {method: launched(page, project, method) for method in FROM_FORM}
            told |= {method: commanded(page, project, method) for method in BY_COMMAND}
        return {"accepted_preferences": accepted, "methods": told}


@contextmanager
def workers(data: Path) -> Iterator[None]:
    """The two workers of `make run`."""
    from core.launcher.launch import programs

    with ExitStack() as stack:
        for program in programs():
            if "worker" in program.name:
                environment = {**program.environment, "PREFLOOP_SWEEP_SECONDS": "1"}
                log = data / f"{program.name}.log"
                service = Service(program.command, environment, log)
                service.start()
                stack.callback(service.stop)
        yield


def imported(data: Path, password: str) -> tuple[int, int]:
    """A project of the short pairs, and how many preferences the workers accepted."""
    from django.core.management import call_command

    from annotation.models import Project
    from core.services.user import create_user
    from feedback.models import Preference

    create_user(username="ada", password=password, name="Ada", is_admin=True)
    file = data / "pairs.json"
    file.write_text(json.dumps(pandalm.short(LONGEST)))
    call_command(
        "import_data", str(file), format="pandalm", create_project="PandaLM", username="ada"
    )
    decided, before = Preference.objects.newest(), -1
    while (count := decided.count()) == 0 or count != before:
        before = count
        time.sleep(5)
    return Project.objects.get().pk, decided.filter(state="accepted").count()


@contextmanager
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=browser_flags())
        url = f"http://127.0.0.1:{port()}"
        page = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def sign_in(page: Page, password: str) -> None:
    page.goto("/sign-in/")
    page.fill("input[name=username]", "ada")
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("input[name=password]")).to_have_count(0)


def freeze(page: Page, project: int) -> None:
    page.goto(f"/projects/{project}/snapshots/")
    page.get_by_role("button", name="Freeze a snapshot").click()
    expect(page.get_by_role("heading", name="Snapshot 1")).to_be_visible()


def launched(page: Page, project: int, method: str) -> dict[str, Any]:
    """Fill in the form, wait for the run, and read the evaluation of the version that it made."""
    page.goto(f"/projects/{project}/runs/new/?method={method}")
    expect(page.locator("select[name=method]")).to_have_value(method)
    page.locator("summary", has_text="Advanced").click()
    for name, value in FIELDS.items():
        page.fill(f"input[name={name}]", str(value))
    page.select_option("select[name=dtype]", "bfloat16")
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url("**/runs/*/")
    number = int(page.url.rstrip("/").rpartition("/")[2])
    began = time.monotonic()
    ended = wait_for(page, number)
    say(f"{method}: {ended['job']['state']} after {time.monotonic() - began:.0f} s")
    if ended["job"]["state"] != "succeeded":
        raise AssertionError(f"{method}: {ended['job']['error']}")
    # The page loads itself again when the run is over.
    expect(page.get_by_role("heading", name="What changed")).to_be_visible(timeout=60_000)
    keep(page, f"run-{method}")
    return evaluated(page, project, number, method) | {
        "seconds_from_launch_to_end": round(time.monotonic() - began, 1)
    }


def commanded(page: Page, project: int, method: str) -> dict[str, Any]:
    """Have `manage.py train` queue the run and wait for the worker; the same figures."""
    from django.core.management import call_command

    from training.models import TrainingRun

    settings = FIELDS | {"dtype": "bfloat16"} | ({"convert_data": True} if method == "sft" else {})
    began = time.monotonic()
    call_command(
        "train", project=str(project), method=method, username="ada",
        values=[f"{name}={json.dumps(value)}" for name, value in settings.items()],
        binary_from_pairs=method == "kto",
    )  # fmt: skip
    run = TrainingRun.objects.get(method=method)
    say(f"{method}: {run.job.state} after {time.monotonic() - began:.0f} s")
    return evaluated(page, project, run.pk, method) | {
        "seconds_from_launch_to_end": round(time.monotonic() - began, 1)
    }


def wait_for(page: Page, run: int) -> dict[str, Any]:
    """What the API tells of the run when it is over; the page shows its progress meanwhile."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        # A server may close an idle connection just when it is used again, as browsers expect.
        told: dict[str, Any] = page.request.get(f"/api/runs/{run}", max_retries=3).json()
        if told["job"]["is_over"]:
            return told
        page.wait_for_timeout(2000)
    raise AssertionError(f"Run {run} did not end in {PATIENCE:.0f} s.")


def evaluated(page: Page, project: int, run: int, method: str) -> dict[str, Any]:
    """The figures behind the version's page, once that page shows them."""
    from training.models import ModelVersion

    version = ModelVersion.objects.get(run_id=run)
    page.goto(f"/projects/{project}/versions/{version.number}/")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator(".stats .stat").first).to_be_visible()
    keep(page, f"evaluation-{method}")
    told = described(version.evaluations.get().figures, method)
    check_offline(method, told)
    return told


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("PREFLOOP_PROOF_FOLDER"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
