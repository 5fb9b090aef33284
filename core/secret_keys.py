"""The keys that provider keys are encrypted with: from the environment, or a file beside the data.

One key a line, the newest first: it encrypts, the others still decrypt. A key's id is the beginning
of its digest; it stands before what the key encrypted, so that a missing key can be named.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SETTING = "PREFLOOP_SECRET_KEYS"
FILE_NAME = "secret-encryption-keys"


def key_ids() -> list[str]:
    """The newest first."""
    return [key_id(key) for key in _keys()]


def cipher() -> MultiFernet:
    """Encrypts with the newest key, decrypts with any."""
    return MultiFernet([_fernet(key) for key in _keys()])


def key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def add_key() -> str:
    """A new key that encrypts from now on; returns its id. Only where the keys are in the file."""
    if settings.SECRET_ENCRYPTION_KEYS:
        raise ImproperlyConfigured(
            f"The keys are in {SETTING}: put a new one before the others there, and start again."
        )
    keys = [Fernet.generate_key().decode(), *_keys()]
    _written(keys).replace(_path())
    return key_id(keys[0])


def drop_old_keys() -> int:
    """Only the newest stays in the file; returns how many went."""
    if settings.SECRET_ENCRYPTION_KEYS:
        return 0
    keys = _keys()
    _written(keys[:1]).replace(_path())
    return len(keys) - 1


def _keys() -> list[str]:
    if settings.SECRET_ENCRYPTION_KEYS:
        return list(settings.SECRET_ENCRYPTION_KEYS)
    path = _path()
    if not path.exists():
        # Linked whole into its place: of two processes that begin at once, one is first.
        part = _written([Fernet.generate_key().decode()])
        with suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    return _read(path)


def _read(path: Path) -> list[str]:
    if path.stat().st_mode & 0o077:
        raise ImproperlyConfigured(
            f"{path} can be read by others. Take that from them: chmod 600 {path}"
        )
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def _written(keys: list[str]) -> Path:
    """A new file beside the keys' own, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=_path().parent, prefix=f".{FILE_NAME}-")
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(keys))
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _path() -> Path:
    return Path(settings.DATA_DIR) / FILE_NAME


def _fernet(key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"A key of {SETTING} is not one: it is 32 bytes in URL-safe base64, as "
            "Fernet.generate_key() of the Python package cryptography makes them."
        ) from error
