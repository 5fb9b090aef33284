"""A model of this instance behind our own server, known as a provider while it runs."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.text import slugify
from django.views.decorators.debug import sensitive_variables

from annotation.models import Provider, ProviderModel
from annotation.services.provider import (
    add_model,
    change_provider,
    create_provider,
    probe_model,
    set_provider_key,
)
from core.errors import PrefloopError
from core.local_origins import allow_local, forbid_local
from core.models import User
from training.selectors.model import ModelChoice, Source
from training.services import child

MODULE = "training.alignment.serve"
# On a CPU a long answer takes minutes.
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Serving:
    """How a model is served. `name` is what clients call it, `port` 0 takes any that is free."""

    choice: ModelChoice
    name: str
    family: str = ""
    port: int = 8100
    rows: int = 16
    dtype: str = "bfloat16"
    device: str = "auto"

    @property
    def provider_name(self) -> str:
        return f"local: {self.name}"

    @property
    def folder(self) -> Path:
        return Path(settings.DATA_DIR) / "served" / slugify(self.name)

    @property
    def arguments(self) -> list[str]:
        return [
            *(str(self.choice.folder), "--name", self.name, "--port", str(self.port)),
            *("--rows", str(self.rows), "--dtype", self.dtype, "--device", self.device),
            "--supervised",
        ]


@dataclass(frozen=True)
class Served:
    """A server at work, its model probed."""

    process: child.Process
    model: ProviderModel
    folder: Path

    def wait(self) -> None:
        """Until the server ends, which it does by itself only in trouble."""
        raise _end(self.process.wait(), self.folder)


@contextlib.contextmanager
@sensitive_variables("key")
def serving(asked: Serving, *, actor: User | None) -> Iterator[Served]:
    """Runs the server until the block is left.

    Raises PrefloopError with the server's words where it does not start.
    """
    if not asked.choice.is_ready:
        raise PrefloopError(f"The files of the model “{asked.choice.title}” are not there.")
    folder = asked.folder
    (folder / "log.txt").unlink(missing_ok=True)
    key = secrets.token_urlsafe(32)
    environment = {"PREFLOOP_SERVE_TOKEN": key}
    with child.running(MODULE, asked.arguments, folder=folder, environment=environment) as process:
        origin = _listening(process, folder)
        # The operator's command is the operator's leave to call this machine.
        allow_local(asked.provider_name, origin)
        try:
            model = probe_model(model=_register(asked, origin, key, actor), actor=actor)
            yield Served(process, model, folder)
        finally:
            forbid_local(asked.provider_name)


def _listening(process: child.Process, folder: Path) -> str:
    """Where it listens, once it does: it says so in one line of JSON."""
    while process.poll() is None:
        for line in child.log_tail(folder).splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return str(json.loads(line)["listening"])
        time.sleep(child.POLL_SECONDS)
    raise _end(process.returncode, folder)


def _end(status: int, folder: Path) -> PrefloopError:
    """In the server's own words, where it left some."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return PrefloopError(str(json.loads(child.log_tail(folder, lines=1))["error"]))
    return PrefloopError(
        f"The server ended with status {status}; {folder / 'log.txt'} has its log."
    )


@sensitive_variables("key")
def _register(asked: Serving, origin: str, key: str, actor: User | None) -> ProviderModel:
    """The provider of this name at its new address, in use again if it was retired."""
    fields: dict[str, Any] = {"base_url": f"{origin}/v1", "concurrency": asked.rows}
    provider = Provider.objects.filter(name=asked.provider_name).first()
    if provider is None:
        provider = create_provider(
            name=asked.provider_name,
            actor=actor,
            key=key,
            timeout_seconds=TIMEOUT_SECONDS,
            **fields,
        )
    else:
        Provider.objects.filter(pk=provider.pk).update(retired_at=None)
        change_provider(provider=provider, actor=actor, **fields)
        set_provider_key(provider=provider, key=key, actor=actor)
    return add_model(provider=provider, name=asked.name, family=asked.family, actor=actor)


def served_name(choice: ModelChoice, project_id: int | None) -> str:
    """As clients call it: of a version it tells the project."""
    if choice.source is not Source.VERSION:
        return choice.name
    return f"project-{project_id}-{choice.name.replace(':', '-')}"
