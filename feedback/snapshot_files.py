"""The files of a snapshot: canonical JSONL, hashed, put in place whole, and checked when read.

`cat train.jsonl held_out.jsonl | sha256sum` gives the name of the folder they lie in.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from django.conf import settings

from core.canonical_json import canonical_line
from core.errors import PrefloopError
from feedback.models import Snapshot
from feedback.shapes import Record

SIDES = ("train", "held_out")
_BLOCK = 1 << 20


class SnapshotDamaged(PrefloopError):
    """The files are not what was frozen."""

    code = "snapshot_damaged"
    status = 409


def snapshots_folder() -> Path:
    return Path(settings.DATA_DIR) / "snapshots"


def folder_of(snapshot: Snapshot) -> Path:
    return snapshots_folder() / snapshot.content_hash


class SnapshotWriter:
    """Builds the folder under another name; nothing is left of it unless `place` is called."""

    def __enter__(self) -> Self:
        snapshots_folder().mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".building-", dir=snapshots_folder()))
        self.folder.chmod(0o755)
        self._files: dict[str, IO[bytes]] = {
            side: (self.folder / f"{side}.jsonl").open("wb") for side in SIDES
        }
        self.records: Counter[str] = Counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, record: Record) -> None:
        self._files[record["side"]].write(canonical_line(record))
        self.records[record["side"]] += 1

    def close(self) -> dict[str, dict[str, Any]]:
        """Everything on disk; what each file holds, for the manifest."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()
        return {
            side: {
                "records": self.records[side],
                "bytes": self._path(side).stat().st_size,
                "sha256": _sha256(self._path(side)),
            }
            for side in SIDES
        }

    def content_hash(self) -> str:
        return _sha256(*(self._path(side) for side in SIDES))

    def place(self, content_hash: str, manifest: dict[str, Any]) -> None:
        """In one step under its hash. What lies there whole stays; damaged, it is replaced."""
        target = snapshots_folder() / content_hash
        with (self.folder / "manifest.json").open("wb") as file:
            file.write(json.dumps(manifest, ensure_ascii=False, indent=2).encode())
            file.flush()
            os.fsync(file.fileno())
        for path in self.folder.iterdir():
            path.chmod(0o444)
        _sync_folder(self.folder)
        if target.is_dir() and not _holds(target, content_hash):
            shutil.rmtree(target)
        try:
            self.folder.rename(target)
        except OSError:
            # Another freeze of the same content may have been quicker.
            if not _holds(target, content_hash):
                raise
        _sync_folder(target.parent)

    def _path(self, side: str) -> Path:
        return self.folder / f"{side}.jsonl"


def _paths(folder: Path) -> list[Path]:
    return [folder / f"{side}.jsonl" for side in SIDES]


def _holds(folder: Path, content_hash: str) -> bool:
    paths = _paths(folder)
    return all(path.is_file() for path in paths) and _sha256(*paths) == content_hash


def _sha256(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def verify(snapshot: Snapshot) -> None:
    """Raises unless the files hold, to the byte, what was frozen."""
    paths = _paths(folder_of(snapshot))
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise SnapshotDamaged(
            f"The files of {snapshot} are gone ({', '.join(missing)}). Restore the folder "
            f"snapshots/{snapshot.content_hash} of the data directory from a backup."
        )
    if _sha256(*paths) != snapshot.content_hash:
        raise SnapshotDamaged(
            f"The files of {snapshot} have been changed since they were frozen, so they are not "
            f"used. Restore the folder snapshots/{snapshot.content_hash} of the data directory "
            "from a backup, or freeze again."
        )


def read_records(snapshot: Snapshot, *sides: str) -> Iterator[Record]:
    """The records of these sides (both when none is named), after the files were verified."""
    verify(snapshot)
    for side in sides or SIDES:
        with (folder_of(snapshot) / f"{side}.jsonl").open("rb") as file:
            for line in file:
                yield json.loads(line)
