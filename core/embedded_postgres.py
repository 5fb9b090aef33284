"""The embedded database: a real PostgreSQL in the data directory, run by this module.

What it promises: a password and a private socket instead of an open port; "running" means that
somebody listens, never that a pid file exists; two starts at once are harmless; root
runs the server as an unprivileged user; another major version is refused with a sentence.

Whoever uses the server holds a shared lock on a file (`hold`), which the system drops even
after kill -9; the last one to let go stops the server.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import psycopg

from core.postgres_binaries import Binaries
from core.postgres_cluster import (
    NAME,
    Cluster,
    PostgresError,
    binaries_for,
    create,
    reachable_binaries,
    reason_in,
)

START_SECONDS = 300  # crash recovery of a large database takes its time
STOP_SECONDS = 60
CONNECT_SECONDS = 3
# Parts of what a server says that waiting does not mend.
REFUSALS = ("authentication failed", "no pg_hba.conf entry", "does not exist")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "1GB",
    # Containers give /dev/shm 64 MB, which parallel queries overrun; two cores gain little by them.
    "max_parallel_workers_per_gather": "0",
    # A query whose client was killed ends, too.
    "client_connection_check_interval": "10s",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For tests only: a crash of the machine may cost the database.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

__all__ = [
    "PostgresError",
    "Server",
    "ensure",
    "hold",
    "is_running",
    "start",
    "stop",
    "stop_if_forgotten",
]

_children: dict[Path, subprocess.Popen[bytes]] = {}  # servers that this process started


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    started: bool  # by this call; otherwise it was running already


def start(data_dir: Path, *, durable: bool = True) -> Server:
    """Makes the cluster if there is none, starts the server if none answers."""
    data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    cluster = Cluster(data_dir)
    with _locked(cluster):
        return _start(cluster, durable)


def is_running(data_dir: Path) -> bool:
    """Also while it is starting, or too busy to let anybody in."""
    return _ask(Cluster(data_dir)).is_there


def stop(data_dir: Path) -> None:
    """Fast shutdown: open transactions are rolled back, committed ones are on disk."""
    cluster = Cluster(data_dir)
    with _locked(cluster):
        _stop(cluster)


@contextlib.contextmanager
def hold(data_dir: Path, *, durable: bool = True) -> Iterator[Server]:
    """Runs the server for as long as anybody holds it; the last one to leave stops it."""
    data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    cluster = Cluster(data_dir)
    holder = os.getpid()
    with (cluster.data_dir / "postgres.users").open("a") as users:
        with _locked(cluster):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _start(cluster, durable)
        try:
            yield server
        finally:
            if os.getpid() == holder:  # a forked child leaves its parent's server alone
                _stop_unless_held(cluster, users)


def stop_if_forgotten(data_dir: Path) -> bool:
    """Stops a server whose holders were all killed. False: somebody still holds it."""
    with (data_dir / "postgres.users").open("a") as users:
        return _stop_unless_held(Cluster(data_dir), users)


def _stop_unless_held(cluster: Cluster, users: IO[str]) -> bool:
    with _locked(cluster):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        _stop(cluster)
        return True


def ensure(data_dir: Path, *, durable: bool = True) -> str:
    """The URL of the running server, held until this process ends (for management commands)."""
    stack = contextlib.ExitStack()
    server = stack.enter_context(hold(data_dir, durable=durable))
    atexit.register(stack.close)
    return server.url


def _start(cluster: Cluster, durable: bool) -> Server:
    if _answers_in_the_end(cluster):
        return Server(cluster.url(), started=False)
    _refuse_foreign_owner(cluster)
    binaries = binaries_for(cluster)
    if not cluster.exists:
        create(cluster, binaries, durable=durable)
    binaries = reachable_binaries(binaries, cluster.account)
    _clear_leftovers(cluster)
    _open_socket_folder(cluster)
    _launch(cluster, binaries, SETTINGS | ({} if durable else NOT_DURABLE))
    _create_database(cluster)
    return Server(cluster.url(), started=True)


@dataclass(frozen=True)
class _Answer:
    """Whether a server listens; `refusal` is why it did not let us in."""

    is_there: bool
    refusal: str = ""

    @property
    def is_yes(self) -> bool:
        return self.is_there and not self.refusal

    @property
    def may_change(self) -> bool:
        """It is starting, recovering or too busy."""
        return self.is_there and not self.is_yes and not self.is_for_good

    @property
    def is_for_good(self) -> bool:
        return self.is_there and any(words in self.refusal for words in REFUSALS)


def _ask(cluster: Cluster) -> _Answer:
    if not cluster.exists or not cluster.password_file.exists():
        return _Answer(is_there=False)
    try:
        psycopg.connect(cluster.url("postgres"), connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        return _Answer(_listens(cluster), str(error).strip() or repr(error))
    return _Answer(is_there=True)


def _listens(cluster: Cluster) -> bool:
    """A socket that is missing or refuses has no server; whatever else goes wrong, it has one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(CONNECT_SECONDS)
        try:
            client.connect(str(cluster.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _answers_in_the_end(cluster: Cluster) -> bool:
    """A server that is slow to answer, or full, is never taken for a dead one: people work with
    it."""
    deadline = time.monotonic() + START_SECONDS
    while (answer := _ask(cluster)).may_change and time.monotonic() < deadline:
        time.sleep(0.1)
    if answer.is_there and not answer.is_yes:
        raise PostgresError(_why_not(cluster, answer))
    return answer.is_there


def _why_not(cluster: Cluster, answer: _Answer) -> str:
    remedy = (
        f"Is {cluster.password_file} the file that was made with it?"
        if answer.is_for_good
        else f"It is left running; see {cluster.log} for what it is busy with."
    )
    return f"The database in {cluster.link} runs but lets nobody in: {answer.refusal}. {remedy}"


def _refuse_foreign_owner(cluster: Cluster) -> None:
    if not cluster.exists or os.geteuid() == 0 or cluster.folder.stat().st_uid == os.geteuid():
        return
    owner = cluster.folder.stat().st_uid
    raise PostgresError(
        f"The database in {cluster.folder} belongs to user number {owner}, who made it. "
        "Run as that user (or as root), or choose another PREFLOOP_DATA_DIR."
    )


def _clear_leftovers(cluster: Cluster) -> None:
    """Makes the way free for a start when no server answers.

    A pid file may name a dead, a zombie or an unrelated process, and PostgreSQL would believe it.
    Only processes that really work in the cluster's folder count.
    """
    _stop(cluster)
    (cluster.folder / "postmaster.pid").unlink(missing_ok=True)


def _open_socket_folder(cluster: Cluster) -> None:
    folder, account = cluster.socket_folder, cluster.account
    account.owned_folder(folder)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != account.uid or found.st_mode & 0o077:
        raise PostgresError(
            f"{folder} should be a private folder of user number {account.uid} and is not. "
            "Remove it, then start again."
        )


def _launch(cluster: Cluster, binaries: Binaries, settings: dict[str, str]) -> None:
    settings = settings | {"unix_socket_directories": str(cluster.socket_folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [binaries.program("postgres"), "-D", str(cluster.folder), *options]
    said_before = cluster.log.stat().st_size if cluster.log.exists() else 0
    child = _children[cluster.folder] = cluster.account.spawn(command, cluster.log)
    deadline = time.monotonic() + START_SECONDS
    while not (answer := _ask(cluster)).is_yes:
        if child.poll() is not None or answer.is_for_good or time.monotonic() > deadline:
            said = cluster.log.read_bytes()[said_before:].decode(errors="replace")
            reason = reason_in(said) or f"exit code {child.returncode}"
            raise PostgresError(f"PostgreSQL did not start: {reason} (all of it: {cluster.log})")
        time.sleep(0.02)


def _create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {NAME}")


def _stop(cluster: Cluster) -> None:
    """Asks the server to stop, then insists; reaps it when it is a child of ours."""
    server = _server_process(cluster)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server is None or not _works_in(server, cluster.folder):
            break
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(how)
        _wait_until_gone(server, cluster.folder)
    child = _children.pop(cluster.folder, None)
    if child is not None:
        child.wait()


def _wait_until_gone(server: psutil.Process, folder: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _works_in(server, folder) and time.monotonic() < deadline:
        time.sleep(0.02)


def _server_process(cluster: Cluster) -> psutil.Process | None:
    """The postmaster that works in the cluster's folder; failing that, any orphan of one."""
    found = [process for process in psutil.process_iter() if _works_in(process, cluster.folder)]
    pids = {process.pid for process in found}
    return next((process for process in found if process.ppid() not in pids), None)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return False
        return process.cwd() == str(folder)
    except (psutil.Error, OSError):
        return False


@contextlib.contextmanager
def _locked(cluster: Cluster) -> Iterator[None]:
    """One start or stop at a time."""
    with (cluster.data_dir / "postgres.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
