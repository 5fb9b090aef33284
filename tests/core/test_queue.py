"""Jobs through real workers: over files in the data directory, and over a real Redis."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings

from core.models import Job
from tests import programs
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds: a busy machine is slow, and only what never comes is to fail
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    program = programs.redis_server()
    assert program is not None, "make test installs a Redis server"
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    wait_for_port(port)
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the Redis server did not answer")


class Workers:
    """Real worker processes on this test's database, and a client that sends hints to them."""

    def __init__(self, environment: dict[str, str], broker_url: str, folder: Path) -> None:
        self.environment = environment | {
            "CELERY_BROKER_URL": broker_url,
            "PREFLOOP_DATA_DIR": str(folder),
            "PREFLOOP_DATABASE_POOL": "0",
            "PREFLOOP_SWEEP_SECONDS": "1",
            "PREFLOOP_JOB_LEASE_SECONDS": "4",
        }
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        log = self.folder / f"worker-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker"),
                    *("-Q", "default,judge,gpu", "-c", "1", "-l", "INFO"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                ],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def send(self, job: Job) -> None:
        """From a process of its own, because settings are read once in each process."""
        code = (
            "import sys, django; django.setup();"
            "from core import jobs; from core.models import Job;"
            "jobs.send_hint(Job.objects.get(pk=sys.argv[1]))"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(job.pk)], cwd=ROOT, env=self.environment, check=True
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """The machine's way to go: worker and pool children at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for(self, job: Job, state: str, seconds: float = PATIENCE) -> Job:
        deadline = time.monotonic() + seconds
        while job.state != state:
            assert time.monotonic() < deadline, f"{job} did not become {state}"
            assert self.processes[-1].poll() is None, self.last_log()
            time.sleep(0.05)
            job.refresh_from_db()
        return job

    def last_log(self) -> str:
        return (self.folder / f"worker-{len(self.processes) - 1}.log").read_text()[-3000:]

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture(params=["files", "redis"])
def workers(
    request: pytest.FixtureRequest, process_environment: dict[str, str], tmp_path: Path
) -> Iterator[Workers]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    workers = Workers(process_environment, url, tmp_path)
    yield workers
    workers.stop()


def make_job(kind: str, queue: str, **args: int) -> Job:
    """A row only, as if its hint had been lost."""
    return Job.objects.create(kind=kind, queue=queue, args=args)


def test_a_hint_wakes_a_worker_and_doubles_do_no_harm(workers: Workers) -> None:
    job = make_job("tests.add", "default", a=2, b=3)
    for _ in range(2):
        workers.send(job)  # before any worker is there: messages wait
    workers.start()
    done = workers.wait_for(job, Job.State.SUCCEEDED)
    assert done.result == {"sum": 5}
    assert done.attempts == 1


def test_the_sweep_finds_a_job_whose_hint_was_lost(workers: Workers) -> None:
    job = make_job("tests.add", "judge", a=1, b=1)
    workers.start()
    assert workers.wait_for(job, Job.State.SUCCEEDED).result == {"sum": 2}


def test_kill_9_of_a_worker_costs_one_lease(workers: Workers) -> None:
    job = make_job("tests.sleep_once", "gpu")
    first = workers.start()
    workers.wait_for(job, Job.State.RUNNING)
    workers.kill(first)
    workers.start()
    assert workers.wait_for(job, Job.State.SUCCEEDED).result == {"attempts": 2}


class TestFiles:
    @pytest.fixture
    def app(self) -> Iterator[Celery]:
        from config.celery import app

        _ = app.conf.task_queues  # makes the folders
        self.remove_messages()
        yield app
        self.remove_messages()

    def remove_messages(self) -> None:
        for message in (settings.DATA_DIR / "queue" / "messages").iterdir():
            message.unlink()

    def test_messages_are_private_json_and_never_half_written(self, app: Celery) -> None:
        for number in range(3):
            app.send_task("core.run_job", (number,), queue="default")
        folder = settings.DATA_DIR / "queue"
        assert folder.stat().st_mode & 0o077 == 0
        names = [path.name for path in sorted((folder / "messages").iterdir())]
        assert len(names) == 3
        assert all(name.endswith(".default.msg") for name in names)

    def test_processed_messages_are_removed(self, app: Celery) -> None:
        from config.broker import clean_processed

        processed = settings.DATA_DIR / "queue" / "processed"
        old, new = processed / "1.default.msg", processed / "2.default.msg"
        for message in (old, new):
            message.touch()
        os.utime(old, (0, 0))
        clean_processed()
        assert not old.exists()
        assert new.exists()
        new.unlink()
