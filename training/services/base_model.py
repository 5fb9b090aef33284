"""Brings a base model into the data directory, once."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from core import jobs
from core.errors import PrefloopError
from core.jobs import JobContext
from core.models import Job, User
from training.selectors.model import SMALL_MODEL, ModelChoice, Source, base_models
from training.services import child

# A download needs the operator's way to the hub; nothing else of the environment goes along.
HUB_VARIABLES = (
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
)


def request_base_model(*, created_by: User | None, name: str = SMALL_MODEL) -> Job:
    """One job for each model, however often it is asked for."""
    return jobs.enqueue(
        "ensure_base_model",
        args={"name": name},
        created_by=created_by,
        idempotency_key=f"ensure_base_model:{name}",
    )


def ensure_base_model(*, context: JobContext, name: str) -> None:
    for choice in base_models():
        if choice.name == name:
            return prepare_model(context=context, choice=choice)
    raise PrefloopError(f"The model “{name}” is not offered here.")


def prepare_model(*, context: JobContext, choice: ModelChoice) -> None:
    """Afterwards the model's folder is there, whole."""
    if choice.is_ready:
        return
    if choice.source is Source.PACKAGE:
        _make("training.alignment.convert", ["--output", str(choice.folder)], context, choice)
    elif choice.source is Source.HUB:
        environment = {name: os.environ[name] for name in HUB_VARIABLES if name in os.environ}
        arguments = ["--name", choice.name, "--output", str(choice.folder)]
        _make("training.hub", arguments, context, choice, environment | {"HF_HUB_OFFLINE": "0"})
    if not choice.is_ready:
        raise PrefloopError(
            f"The files of the model “{choice.title}” are gone. Restore them, or choose another."
        )


def _make(
    module: str,
    arguments: list[str],
    context: JobContext,
    choice: ModelChoice,
    environment: dict[str, str] | None = None,
) -> None:
    folder = Path(settings.DATA_DIR) / "models" / f".work-{choice.folder.name}"
    before = child.oom_kills()

    def watch() -> None:
        context.progress(done=0, total=1, message=f"Preparing the model {choice.title}")

    with child.running(module, arguments, folder=folder, environment=environment) as process:
        returncode = child.wait_for(process, watch)
    if returncode:
        last = child.log_tail(folder, lines=1)
        if returncode > 0 and last:
            raise PrefloopError(f"The model {choice.title} could not be prepared: {last}")
        child.raise_failure(returncode, folder=folder, oom_kills_before=before)
