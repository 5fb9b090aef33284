"""Which code a run was trained by."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from django.conf import settings

LIBRARIES = ("accelerate", "peft", "safetensors", "torch", "transformers")


def code_version() -> str:
    """A hash of the training library's sources, which a container without git has too."""
    digest = hashlib.sha256()
    library = Path(settings.BASE_DIR) / "training" / "alignment"
    for source in sorted(library.rglob("*.py")):
        digest.update(str(source.relative_to(library)).encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
