"""The whole loop on real data with real parts: people's judgments in, a better model's answers out.

llmfao's crowd is imported, measured, decided and frozen; SmolLM2 is trained on it by DPO through a
real worker; the version is promoted and sampled; a person judges one of the new items. All in the
pages, in Chromium. Every fortieth pair and two steps are enough here; `make prove` takes more of
both (PREFLOOP_STORY_EVERY, PREFLOOP_STORY_STEPS).
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from annotation.models import Assignment, Item, Membership, Project
from core.models import Job
from feedback.models import Preference, Snapshot
from tests.browser.signing import sign_in
from tests.cast import make_user
from tests.real_data import real_data_folder
from training.models import MetricPoint, ModelVersion, Promotion, Round, TrainingRun
from training.services.base_model import request_base_model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3000)]

ROOT = Path(__file__).resolve().parents[2]
STEPS = int(os.environ.get("PREFLOOP_STORY_STEPS", "2"))
EVERY = int(os.environ.get("PREFLOOP_STORY_EVERY", "40"))
# Seconds: one core, shared with others, may have to do it all.
PATIENCE = 600 + 60 * STEPS


@pytest.fixture
def workers(process_environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """Two real workers, as `make run` has them; their logs are shown when the test fails."""
    environment = process_environment | {
        "PREFLOOP_DATABASE_POOL": "0",
        "PREFLOOP_SWEEP_SECONDS": "1",
    }
    started = [
        (start_worker(queues, environment, tmp_path / f"{queues}.log"), tmp_path / f"{queues}.log")
        for queues in ("default,judge", "gpu")
    ]
    yield
    for process, log in started:
        # SIGTERM would wait for a running task.
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=60)
        print(log.read_text()[-3000:])


def start_worker(queues: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", queues),
        *("-n", f"{queues}@%h", "-c", "1", "-l", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


class Story:
    """One step of the loop a method; each looks at the page and at the rows behind it."""

    def __init__(self, page: Page, context: BrowserContext, url: str) -> None:
        self.page, self.context, self.url = page, context, url
        self.ada = make_user("ada", is_admin=True)
        self.bob = make_user("bob")
        self.seconds: dict[str, float] = {}
        self.figures: dict[str, Any] = {}

    def open(self, name: str, *arguments: object) -> Page:
        self.page.goto(self.url + reverse(name, args=arguments))
        return self.page

    def wait_for(self, job: Job) -> None:
        began = time.monotonic()
        while not job.is_over:
            assert time.monotonic() - began < PATIENCE, f"{job} takes too long: {job.progress}"
            time.sleep(0.5)
            job.refresh_from_db()
        assert job.state == Job.State.SUCCEEDED, job.error
        self.seconds[job.kind] = round(time.monotonic() - began, 1)

    def import_the_crowd(self, folder: Path) -> None:
        self.folder = folder
        call_command(
            "import_data", str(folder), format="llmfao", create_project="Crowd",
            username="ada", verbosity=0,
        )  # fmt: skip
        self.project = Project.objects.get()
        Membership.objects.create(project=self.project, user=self.bob, role="labeler")
        sign_in(self.context, self.ada, self.url)

    def measure(self) -> None:
        """The page shows what an independent library finds in the file itself."""
        page = self.open("feedback:agreement", self.project.pk)
        button = page.get_by_role("button", name=re.compile("Measure"))
        heading = page.get_by_role("heading", name=re.compile("Overall"))
        expect(heading.or_(button).first).to_be_visible(timeout=120_000)
        if not heading.is_visible():
            button.click()
        expect(heading).to_be_visible(timeout=300_000)
        alpha = nominal_alpha(self.folder / "crowd-comparisons.csv")
        assert f"{alpha:.3f}" in page.inner_text("main")
        if EVERY == 1:
            assert alpha == pytest.approx(0.2906, abs=1e-4)

    def wait_until_decided(self) -> None:
        """A worker's sweep decides what the import brought; how soon depends on the machine."""
        accepted = Preference.objects.newest().filter(state="accepted")
        began = time.monotonic()
        while accepted.count() <= 500 / EVERY:
            assert time.monotonic() - began < PATIENCE, f"{accepted.count()} items were accepted"
            time.sleep(0.5)

    def decide_and_freeze(self) -> Snapshot:
        self.wait_until_decided()
        page = self.open("feedback:snapshots", self.project.pk)
        page.get_by_role("button", name="Freeze a snapshot").click()
        expect(page.get_by_role("heading", name="Snapshot 1")).to_be_visible(timeout=300_000)
        return Snapshot.objects.get()

    def train(self) -> ModelVersion:
        page = self.open("training:launch", self.project.pk)
        page.locator("summary", has_text="Advanced").click()
        # A checkpoint is 1.6 GB: two steps have one, at their end.
        half = max(STEPS // 2, 2)
        values = {
            "max_steps": STEPS, "batch_size": 1, "gradient_accumulation": 2, "max_length": 128,
            "max_prompt_length": 64, "evaluate_every": half, "evaluation_limit": 4,
            "sample_prompts": 2, "sample_max_new_tokens": 12, "checkpoint_every": half,
        }  # fmt: skip
        for name, value in values.items():
            page.fill(f"input[name={name}]", str(value))
        page.get_by_role("button", name="Launch").click()
        page.wait_for_url(re.compile(r"/runs/\d+/"))
        run = TrainingRun.objects.get()
        self.wait_for(run.job)
        # The page loads itself again when the run is over; to load it here as well would race.
        expect(page.get_by_role("heading", name="What changed")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("log-probabilit", exact=False).first).to_be_visible()
        losses = MetricPoint.objects.filter(run=run, name="loss").order_by("step")
        assert [point.step for point in losses] == list(range(1, STEPS + 1))
        # Policy and reference are the same before the first step: ln 2.
        assert losses[0].value == pytest.approx(0.693147, abs=1e-3)
        return ModelVersion.objects.get(run=run)

    def promote(self, version: ModelVersion) -> None:
        page = self.open("training:version", self.project.pk, version.number)
        self.figures["evaluation"] = version.evaluations.get().figures
        page.fill("input[name=confirm]", f"promote {version.number}")
        label = page.locator("label", has_text="to confirm").inner_text()
        wanted = re.search("“(.+)”", label)
        assert wanted is not None
        page.fill("input[name=confirm]", wanted[1])
        page.get_by_role("button", name=re.compile("Promote version")).click()
        expect(page.get_by_text("promoted", exact=True).first).to_be_visible()
        assert Promotion.objects.get().version == version

    def sample(self, version: ModelVersion) -> None:
        page = self.open("training:version", self.project.pk, version.number)
        page.fill("input[name=limit]", "2")
        page.fill("input[name=max_new_tokens]", "12")
        page.get_by_role("button", name="Sample").click()
        expect(page.get_by_role("button", name="Sample")).not_to_be_visible()
        self.wait_for(Job.objects.filter(kind="sample_responses").latest("pk"))
        self.new = Item.objects.filter(
            is_open=True, responses__generator=version.generator
        ).distinct()
        assert self.new.exists()
        assert Round.objects.get().version == version

    def judge_one(self) -> None:
        """A labeler gets a new item, which tells nothing of who wrote what, and answers by key."""
        sign_in(self.context, self.bob, self.url)
        page = self.open("annotation:label", self.project.pk)
        expect(page.locator("#response-2")).to_be_visible()
        html = page.content().replace("Guidelines, version 1", "")
        assert not re.search(r"version \d|SmolLM|generator", html, re.IGNORECASE)
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator("#today")).to_have_text("1 today")
        # The count is ahead of the network; this tells that the answer is stored.
        expect(page.locator("#main")).to_have_attribute("data-unsent", "0")
        assignment = Assignment.objects.get(annotator__user=self.bob, state="done")
        assert assignment.item in self.new


def every(step: int, data: Path, folder: Path) -> Path:
    """The pairs of llmfao whose number is a multiple of `step`, with their votes and verdicts."""
    folder.mkdir()
    for name in ("models.jsonl", "prompts.jsonl"):
        shutil.copy(data / name, folder / name)
    pairs = (data / "pairs-crowd.jsonl").read_text().splitlines()
    kept = {json.loads(line)["id"] for line in pairs[::step]}
    (folder / "pairs-crowd.jsonl").write_text("\n".join(pairs[::step]) + "\n")
    for name in ("crowd", "gpt3-crowd", "gpt4-crowd"):
        head, *rows = (data / f"{name}-comparisons.csv").read_text().splitlines()
        rows = [row for row in rows if int(row.split(",")[0]) in kept]
        (folder / f"{name}-comparisons.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def nominal_alpha(votes: Path) -> float:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with votes.open() as file:
        for row in csv.DictReader(file):
            counts[row["id"]][row["winner"]] += 1
    table = [[count[answer] for answer in ("left", "tie", "right")] for count in counts.values()]
    return float(krippendorff.alpha(value_counts=np.array(table), level_of_measurement="nominal"))


def test_the_loop_closes(
    page: Page, context: BrowserContext, live_server: Any, tmp_path: Path, workers: None
) -> None:
    data = real_data_folder()
    began = time.monotonic()
    story = Story(page, context, live_server.url)
    base_model = request_base_model(created_by=story.ada)
    story.import_the_crowd(every(EVERY, data / "llmfao", tmp_path / "llmfao"))
    story.measure()
    snapshot = story.decide_and_freeze()
    story.wait_for(base_model)
    version = story.train()
    assert version.lineage["snapshot"]["content_hash"] == snapshot.content_hash
    story.promote(version)
    story.sample(version)
    story.judge_one()
    story.seconds["all"] = round(time.monotonic() - began, 1)
    if told := os.environ.get("PREFLOOP_STORY_RESULT"):
        result = {"every": EVERY, "steps": STEPS, "seconds": story.seconds, **story.figures}
        Path(told).write_text(json.dumps(result))
    assert Path(settings.DATA_DIR, version.folder).is_dir()
