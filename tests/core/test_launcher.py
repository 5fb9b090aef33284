"""`make run`: refusals, children that die, stopping, and the whole thing once for real."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core import embedded_postgres
from core.launcher import checks
from core.launcher.checks import CannotStart
from core.launcher.processes import Program, Supervisor
from core.postgres_cluster import Cluster
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds: a busy machine is slow, and only what never comes is to fail


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def refusal_of(check: Callable[[], object]) -> str:
    """The words of the refusal; empty where there is none."""
    try:
        check()
    except CannotStart as refusal:
        return str(refusal)
    return ""


class TestRefusals:
    def test_a_taken_port_is_named_with_its_owner_and_the_way_out(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(CannotStart) as refusal:
                checks.refuse_taken_port("127.0.0.1", port)
        assert f"Port {port} of 127.0.0.1 is in use by" in str(refusal.value)
        assert f"(process {os.getpid()})" in str(refusal.value)
        assert "make run PREFLOOP_PORT=8001" in str(refusal.value)

    @pytest.mark.parametrize("port", [-5, 0, 65536])
    def test_a_number_that_is_no_port_is_refused(self, port: int) -> None:
        with pytest.raises(CannotStart, match="ports go from 1 to 65535"):
            checks.refuse_taken_port("127.0.0.1", port)

    def test_a_setting_without_sense_gets_one_sentence(self, tmp_path: Path) -> None:
        environment = os.environ | {"PREFLOOP_PORT": "abc", "PREFLOOP_DATA_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=environment | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == "PREFLOOP_PORT must be a whole number, not 'abc'.\n"

    def test_a_port_passes_as_soon_as_it_is_free(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert refusal_of(lambda: checks.refuse_taken_port("127.0.0.1", port))
        assert not refusal_of(lambda: checks.refuse_taken_port("127.0.0.1", port))

    def test_a_foreign_address_is_refused(self) -> None:
        with pytest.raises(CannotStart, match="Check PREFLOOP_HOST"):
            checks.refuse_taken_port("192.0.2.1", free_port())

    def test_a_full_disk_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        checks.refuse_full_disk(tmp_path)
        monkeypatch.setattr(checks, "NEEDED_BYTES", 10**18)
        with pytest.raises(CannotStart, match="GB left"):
            checks.refuse_full_disk(tmp_path)

    def test_an_unwritable_data_directory_is_refused(self, tmp_path: Path) -> None:
        checks.refuse_unwritable(tmp_path)
        with pytest.raises(CannotStart, match="PREFLOOP_DATA_DIR"):
            checks.refuse_unwritable(tmp_path / "missing")

    @pytest.mark.parametrize(
        "url", ["", "http://localhost:8000", "http://127.0.0.1", "http://[::1]"]
    )
    def test_the_demo_may_run_at_home(self, url: str, tmp_path: Path) -> None:
        sign_ins = tmp_path / "demo-passwords.txt"
        sign_ins.touch()
        assert not refusal_of(lambda: checks.refuse_public_demo(url, sign_ins))

    @pytest.mark.parametrize("url", ["https://prefer.example", "http://10.0.0.5:8000"])
    def test_the_demo_is_not_shown_in_public(self, url: str, tmp_path: Path) -> None:
        sign_ins = tmp_path / "demo-passwords.txt"
        checks.refuse_public_demo(url, sign_ins)
        sign_ins.touch()
        with pytest.raises(CannotStart, match="printed passwords"):
            checks.refuse_public_demo(url, sign_ins)


class Stage:
    """A supervisor with small Python programs, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.supervisor = Supervisor(self.said.append)

    def start(self, code: str, *, stop_seconds: float = 10.0) -> psutil.Process:
        program = Program(
            name="helper",
            command=[sys.executable, "-c", code],
            environment=os.environ,
            folder=self.folder,
            log=self.folder / "helper.log",
            stop_signal=signal.SIGTERM,
            stop_seconds=stop_seconds,
        )
        self.supervisor.start(program)
        return self.process()

    def process(self) -> psutil.Process:
        return psutil.Process(self.supervisor.children[-1].process.pid)

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in (self.folder / "helper.log").read_text())

    def stop(self, *, hurry: bool = False) -> list[int | None]:
        """By which signal each ended."""
        children = list(self.supervisor.children)
        self.supervisor.stop(hurry=lambda: hurry)
        return [child.process.returncode for child in children]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.stop(hurry=True)


SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print("child", child.pid, flush=True)
child.wait()
"""


class TestSupervisor:
    def test_it_stops_what_it_started(self, stage: Stage) -> None:
        process = stage.start(SLEEP)
        stage.wait_for_log("up")
        assert stage.stop() == [-signal.SIGTERM]
        assert not process.is_running()

    def test_a_child_that_dies_is_started_again_and_it_says_so(self, stage: Stage) -> None:
        first = stage.start(SLEEP)
        stage.wait_for_log("up")
        first.kill()
        wait_until(lambda: stage.supervisor.dead())
        stage.supervisor.revive()
        assert stage.process().pid != first.pid
        assert stage.supervisor.dead() is None
        assert "The helper ended (by signal SIGKILL); starting it again." in stage.said[0]

    def test_a_child_that_keeps_dying_is_given_pauses(self, stage: Stage) -> None:
        stage.start("raise SystemExit(3)")
        for _ in range(2):
            wait_until(lambda: stage.supervisor.dead())
            stage.supervisor.revive()
        assert "(with code 3); starting it again." in stage.said[0]
        assert "starting it again in 4 s" in stage.said[1]

    def test_a_stubborn_child_is_killed_after_its_time(self, stage: Stage) -> None:
        process = stage.start(STUBBORN, stop_seconds=0.5)
        stage.wait_for_log("up")
        assert stage.stop() == [-signal.SIGKILL]
        assert not process.is_running()

    def test_in_a_hurry_nobody_is_waited_for(self, stage: Stage) -> None:
        process = stage.start(STUBBORN, stop_seconds=3600)
        stage.wait_for_log("up")
        assert stage.stop(hurry=True) == [-signal.SIGKILL]
        assert not process.is_running()

    def test_children_of_children_go_too(self, stage: Stage) -> None:
        stage.start(PARENT)
        stage.wait_for_log("child")
        grandchild = stage.process().children()[0]
        assert _lives(grandchild)
        stage.stop()
        wait_until(lambda: not _lives(grandchild))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


def _is_database(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("postgres")
    except psutil.NoSuchProcess:  # a short errand, done meanwhile
        return False


class Run:
    """`manage.py run` as a person starts it, with a data directory and a port of its own."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data_dir.parent / f"output-{self.port}.txt"
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT,
                env=kept
                | {"PREFLOOP_DATA_DIR": str(data_dir), "PREFLOOP_PORT": str(self.port)}
                | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_until_ready(self) -> None:
        wait_until(lambda: "Prefloop is ready" in self.said() or self.process.poll(), 2 * PATIENCE)
        assert "Prefloop is ready" in self.said(), self.said()

    def descendants(self, word: str) -> list[psutil.Process]:
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in family if _lives(process) and word in _line(process)]

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="prefloop-run-"))
    folder.chmod(0o755)
    data_dir = folder / "data of a run"
    data_dir.mkdir()
    (data_dir / "demo-offered").touch()  # these tests are about processes
    yield data_dir
    embedded_postgres.stop(data_dir)
    shutil.rmtree(folder)


class TestRun:
    def test_it_starts_survives_and_stops(self, data_dir: Path) -> None:
        (data_dir / "demo-passwords.txt").write_text("labeler  ada  secret-word\n")
        run = Run(data_dir)
        run.wait_until_ready()
        assert "labeler  ada  secret-word" in run.said()
        assert run.answers("/healthz")
        # It is ready when one of its two web workers answers; the other may be a moment behind.
        wait_until(lambda: len(run.descendants("gunicorn")) == 3)
        web = run.descendants("gunicorn")
        assert not any("libtorch" in mapped.path for mapped in web[-1].memory_maps())

        web[-1].kill()
        wait_until(lambda: run.descendants("-Q gpu"))
        run.descendants("-Q gpu")[0].kill()
        wait_until(lambda: "The gpu worker ended (by signal SIGKILL)" in run.said())
        wait_until(lambda: run.descendants("-Q gpu"))
        wait_until(lambda: run.answers("/healthz"))

        postmaster = embedded_postgres._server_process(Cluster(data_dir))
        assert postmaster is not None
        postmaster.kill()
        wait_until(lambda: "The database does not answer; starting it again" in run.said())
        wait_until(lambda: run.answers("/readyz"))

        family = psutil.Process(run.process.pid).children(recursive=True)
        assert run.interrupt() == 0
        # The kernel may still be clearing up who was killed with its group.
        wait_until(lambda: not any(map(_lives, family)))
        assert not embedded_postgres.is_running(data_dir)
        assert re.search(r"Stopping … \d+\.\d s", run.said())

        again = Run(data_dir)
        again.wait_until_ready()
        assert "migrations" not in again.said()
        again.interrupt()

    def test_kill_9_leaves_the_database_and_nothing_else(self, data_dir: Path) -> None:
        run = Run(data_dir)
        run.wait_until_ready()
        family = [
            process
            for process in psutil.Process(run.process.pid).children(recursive=True)
            if not _is_database(process)
        ]
        assert len(family) > 3
        run.process.kill()
        run.process.wait()
        # The kernel signals at once; who is busy starting hears it when that is over.
        wait_until(lambda: not any(map(_lives, family)))
        assert embedded_postgres.is_running(data_dir)

    def test_it_refuses_a_public_demo(self, data_dir: Path) -> None:
        (data_dir / "demo-passwords.txt").touch()
        run = Run(data_dir, PUBLIC_URL="https://prefer.example")
        assert run.process.wait(PATIENCE) == 1
        assert "PUBLIC_URL is https://prefer.example" in run.said()
        assert not embedded_postgres.is_running(data_dir)
