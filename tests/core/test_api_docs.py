"""The walk of docs/api.md, run as it is written, by a shell against a real server."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection

from annotation.models import Item, Judgment
from core import jobs
from core.models import Job
from core.services.api_token import create_api_token
from tests.cast import make_user
from tests.training.alignment.tiny import write_model
from training.models import Promotion
from training.selectors.model import SMALL_MODEL

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def data_dir(settings: LazySettings, tmp_path: Path) -> Path:
    """A tiny model stands in for the real one, under its name."""
    settings.DATA_DIR = tmp_path
    settings.MODEL_DIRS = [tmp_path / "models"]
    write_model(tmp_path / "models" / SMALL_MODEL)
    return tmp_path


@pytest.fixture
def worker(data_dir: Path) -> Iterator[None]:
    """Runs what is queued, as a worker does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            for job in Job.objects.due().order_by("pk"):
                jobs.run(job.pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_the_walk(worker: None, data_dir: Path, live_server) -> None:
    ada = make_user("ada", is_admin=True)
    scopes = ["read", "judge", "write", "admin"]
    _, token = create_api_token(user=ada, name="walk", scopes=scopes)
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "TOKEN": token,
            "API": f"{live_server.url}/api",
        },
        cwd=data_dir,
        check=False,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.split()
    assert (said.count("succeeded"), said.count("failed")) == (6, 0), done.stdout
    assert said[-1] == "True"
    assert len((data_dir / "pairs.jsonl").read_text().splitlines()) == 8
    assert Promotion.objects.get().action == "promote"
    assert Item.objects.filter(batch="round 1").exists()
    assert Judgment.objects.filter(origin="application").count() == 1
