"""Makes a model version of what a run has trained."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Max

from annotation.models import Generator, Project, Prompt
from annotation.services.content import get_generator
from core.canonical_json import digest
from core.errors import PrefloopError
from core.jobs import JobContext
from core.services.audit import record_event
from training.models import Evaluation, ModelVersion, Sample, TrainingRun
from training.services.code import library_versions
from training.services.texts import storable


def register_version(*, context: JobContext, run: TrainingRun, output: Path) -> ModelVersion:
    """Doing it again, after a crash at any point, changes nothing and leaves nothing half done."""
    existing = ModelVersion.objects.filter(run=run).first()
    if existing is None:
        weights = weights_hash(output / "model")
        with context.fenced():
            existing = _register(run, output, weights)
    shutil.rmtree(output / "model", ignore_errors=True)
    return existing


def _register(run: TrainingRun, output: Path, weights: str) -> ModelVersion:
    # The project's row orders the numbers; a folder of this number is left from a crash.
    project = Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    number = (project.model_versions.aggregate(last=Max("number"))["last"] or 0) + 1
    name = f"{project.pk}-{number}"
    _publish(output / "model", Path(settings.DATA_DIR) / "versions" / name)
    version = ModelVersion.objects.create(
        project=project,
        number=number,
        run=run,
        generator=get_generator(
            name=f"version {number} (project {project.pk})",
            family=run.base_model,
            kind=Generator.Kind.MODEL_VERSION,
        ),
        folder=f"versions/{name}",
        lineage=_lineage(run, weights),
    )
    Evaluation.objects.create(
        version=version, snapshot=run.snapshot, job=run.job, figures=_evaluation(output)
    )
    _keep_samples(run, output)
    record_event(
        actor=run.created_by, action="register_version", target=version, project_id=project.pk
    )
    return version


def _publish(source: Path, target: Path) -> None:
    """Links the files, so that the trained model exists whole at each moment, and once on disk."""
    building = target.with_name(f".{target.name}")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(source, building, copy_function=_link)
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def weights_hash(folder: Path) -> str:
    """SHA-256 over configuration and weights."""
    files = sorted([folder / "config.json", *folder.glob("*.safetensors")])
    if not folder.is_dir() or len(files) < 2:
        raise PrefloopError("The training ended without a model; its log says why.")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _lineage(run: TrainingRun, weights: str) -> dict[str, Any]:
    return {
        "snapshot": {"version": run.snapshot.version, "content_hash": run.snapshot.content_hash},
        "method": run.method,
        "criterion": run.criterion,
        "base_model": run.base_model,
        "reference": run.base_model,
        "config": run.config,
        "data_options": run.data_options,
        "seed": run.seed,
        "code_version": run.code_version,
        "libraries": library_versions(),
        "weights_hash": weights,
    }


def _evaluation(output: Path) -> dict[str, Any]:
    file = output / "evaluation.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return figures


def _keep_samples(run: TrainingRun, output: Path) -> None:
    file = output / "samples.jsonl"
    # Bytes, because text would also be split at U+2028 and its like, which models do write.
    lines = file.read_bytes().splitlines() if file.exists() else []
    samples = [json.loads(line) for line in lines]
    hashes = {digest(sample["prompt"]) for sample in samples}
    prompts = {
        prompt.content_hash: prompt
        for prompt in Prompt.objects.filter(project=run.project, content_hash__in=hashes)
    }
    Sample.objects.bulk_create(
        Sample(
            run=run,
            position=position,
            prompt=prompts.get(digest(sample["prompt"])),
            prompt_messages=sample["prompt"],
            policy_text=storable(sample["after"]),
            reference_text=storable(sample["before"]),
            figures={name: sample[name] for name in ("before_tokens", "after_tokens", "log_ratio")},
        )
        for position, sample in enumerate(samples)
    )
