"""An import as a job: the uploaded files wait in the data directory until a worker reads them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from annotation.importers import get_format
from annotation.importers.rows import Format, Meter, Problem
from annotation.models import Project
from annotation.services.import_data import ImportReport, check_project, import_data
from core import jobs
from core.errors import PrefloopError
from core.models import Job, User

KIND = "import_data"
PROBLEMS = "problems.txt"
MAX_BYTES = 2_000_000_000
# Long enough to look at a dry run and then import the same files.
KEPT_SECONDS = 7 * 24 * 3600


class Upload(Protocol):
    """What Django's UploadedFile offers of itself."""

    name: str | None
    size: int | None

    def chunks(self) -> Iterable[bytes]: ...


def folder_of(token: str) -> Path:
    """Only names that we gave lead to a folder."""
    return Path(settings.DATA_DIR) / "imports" / UUID(hex=token).hex


@transaction.atomic
def request_import(
    *,
    project: Project,
    created_by: User,
    format_name: str,
    uploads: Sequence[Upload],
    label: str = "",
    dry_run: bool = False,
    keep_open: bool = False,
    hide_gold: bool = False,
) -> Job:
    """Keeps the files and queues the import; the project is checked before anything is kept."""
    chosen = get_format(format_name)
    check_project(project, chosen)
    names = _names(chosen, uploads)
    token = uuid4().hex
    _keep(folder_of(token), uploads, names)
    label = label.strip() or Path(uploads[0].name or "").stem or chosen.name
    options = {"dry_run": dry_run, "keep_open": keep_open, "hide_gold": hide_gold}
    return _enqueue(project, created_by, format_name, token, label[:80], options)


@transaction.atomic
def import_after_dry_run(*, job: Job, created_by: User) -> Job:
    """Imports the files of a dry run in earnest; asked twice, it is one job."""
    args = job.args
    if job.kind != KIND or not args["dry_run"] or job.state != Job.State.SUCCEEDED:
        raise PrefloopError("Only the files of a finished dry run can be imported from here.")
    if not folder_of(args["folder"]).is_dir():
        raise PrefloopError("The files of this dry run are no longer kept. Upload them again.")
    project = Project.objects.get(pk=args["project"])
    options = {
        "keep_open": args["keep_open"],
        "hide_gold": args.get("hide_gold", False),
        "dry_run": False,
    }
    return _enqueue(project, created_by, args["format"], args["folder"], args["label"], options)


def _enqueue(
    project: Project, by: User, format_name: str, token: str, label: str, options: dict[str, bool]
) -> Job:
    return jobs.enqueue(
        KIND,
        args={
            "project": project.pk,
            "format": format_name,
            "folder": token,
            "label": label,
            "by": by.pk,
            **options,
        },
        created_by=by,
        project_id=project.pk,
        idempotency_key=f"{KIND}:{token}:{'dry' if options['dry_run'] else 'real'}",
    )


def _names(chosen: Format, uploads: Sequence[Upload]) -> list[str]:
    """Names to keep the files under: those that the format knows, never the browser's own."""
    if not uploads:
        raise PrefloopError("Choose a file to import.", field="files")
    if sum(upload.size or 0 for upload in uploads) > MAX_BYTES:
        raise PrefloopError(
            f"The files are larger than {MAX_BYTES / 1e9:.0f} GB. Split them, or use "
            "`manage.py import_data` on the server.",
            field="files",
        )
    if len(uploads) == 1 and len(chosen.needed) <= 1:
        return [chosen.files[0] if chosen.files else "data.jsonl"]
    names = [Path(upload.name or "").name for upload in uploads]
    missing = sorted(set(chosen.needed) - set(names))
    if missing:
        raise PrefloopError(f"{chosen.title} also needs {', '.join(missing)}.", field="files")
    unknown = sorted(set(names) - set(chosen.files))
    if unknown or len(set(names)) < len(names):
        known = ", ".join(chosen.files) or "one file at a time"
        raise PrefloopError(f"{chosen.title} takes {known}; choose these only.", field="files")
    return names


def _keep(folder: Path, uploads: Sequence[Upload], names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for upload, name in zip(uploads, names, strict=True):
        with (folder / name).open("wb") as file:
            for chunk in upload.chunks():
                file.write(chunk)


def run_import(context: jobs.JobContext) -> ImportReport:
    """Each batch is written under the job's fence, so a worker that lost its job writes nothing."""
    args = context.args
    folder = folder_of(args["folder"])
    if not folder.is_dir():
        raise PrefloopError("The uploaded files are no longer kept. Upload them again.")
    chosen = get_format(args["format"])
    path = folder if chosen.files else folder / "data.jsonl"

    def show(meter: Meter) -> None:
        words = "Checking" if args["dry_run"] else "Importing"
        context.progress(done=meter.done, total=meter.total, message=words)

    with (folder / PROBLEMS).open("w", encoding="utf-8") as problems:

        def keep(problem: Problem) -> None:
            problems.write(f"{problem}\n")

        return import_data(
            project=Project.objects.get(pk=args["project"]),
            format_name=chosen.name,
            path=path,
            label=args["label"],
            actor=User.objects.filter(pk=args["by"]).first(),
            dry_run=args["dry_run"],
            keep_open=args["keep_open"],
            hide_gold=args.get("hide_gold", False),
            guard=context.fenced,
            on_progress=show,
            on_problem=keep,
        )


def remove_old_uploads() -> int:
    """Uploads are for their import; the problems' file goes with them."""
    folder = Path(settings.DATA_DIR) / "imports"
    before = time.time() - KEPT_SECONDS
    old = (
        [one for one in folder.iterdir() if one.stat().st_mtime < before] if folder.is_dir() else []
    )
    for one in old:
        shutil.rmtree(one, ignore_errors=True)
    return len(old)
