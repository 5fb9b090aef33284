"""Files for other tools: asked for here, built by a job, downloaded by whoever may."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify

from annotation.models import Project
from core import jobs
from core.errors import PrefloopError
from core.models import User
from core.services.audit import record_event
from feedback.export_files import write_rows
from feedback.models import Export, Snapshot
from feedback.progress import ShowsProgress
from feedback.selectors.judgments import count_answers, judgment_rows
from feedback.shapes import SHAPES, ShapeOptions, plain_text
from feedback.snapshot_files import SIDES, read_records

Row = dict[str, Any]
Shape = Export.Shape
BOTH = "both"
PAIRS = (Shape.PAIRS, Shape.PAIRS_CONVERSATIONAL)
DEFAULTS: dict[str, Any] = {
    "side": BOTH,
    "criterion": "",
    "ties": False,
    "binary_from_pairs": False,
    "rewrites": False,
}


@transaction.atomic
def request_export(
    *,
    project: Project,
    snapshot: Snapshot | None,
    shape: str,
    format: str,  # noqa: A002 -- the word everybody uses for it
    options: dict[str, Any] | None = None,
    created_by: User | None,
) -> Export:
    """`options`: side (train, held_out, both), criterion (empty: all), ties, binary_from_pairs,
    rewrites."""
    export = create_export(
        project=project, snapshot=snapshot, shape=shape, format=format, options=options,
        created_by=created_by,
    )  # fmt: skip
    export.job = jobs.enqueue(
        "export", args={"export": export.pk}, created_by=created_by, project_id=project.pk
    )
    export.save(update_fields=["job"])
    return export


@transaction.atomic
def create_export(
    *,
    project: Project,
    snapshot: Snapshot | None,
    shape: str,
    format: str,  # noqa: A002
    options: dict[str, Any] | None = None,
    created_by: User | None,
) -> Export:
    """The row alone; whoever makes it builds the file."""
    if shape == Shape.JUDGMENTS:
        snapshot, chosen = None, {}
    else:
        chosen = _checked_options(options or {})
    _refuse_nonsense(project, snapshot, shape, format)
    export = Export.objects.create(
        project=project, snapshot=snapshot, shape=shape, format=format, options=chosen,
        created_by=created_by,
    )  # fmt: skip
    record_event(
        actor=created_by, action="export", target=export, project_id=project.pk,
        detail={"shape": shape, "format": format},
    )  # fmt: skip
    return export


def _refuse_nonsense(
    project: Project, snapshot: Snapshot | None, shape: str, file_format: str
) -> None:
    if shape not in Shape.values:
        raise PrefloopError(f"There is no shape “{shape}”. Choose from {', '.join(Shape.values)}.")
    if file_format not in Export.Format.values:
        raise PrefloopError(f"There is no format “{file_format}”. Choose jsonl or parquet.")
    if shape == Shape.JUDGMENTS:
        return
    if snapshot is None or snapshot.project_id != project.pk:
        raise PrefloopError("Choose a snapshot of this project to export.")
    if snapshot.replaced_by_id:
        raise PrefloopError(f"{snapshot} was replaced when a text was withdrawn. Use the new one.")


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - set(DEFAULTS))
    if unknown:
        raise PrefloopError(f"Unknown options: {', '.join(unknown)}.")
    chosen = {**DEFAULTS, **options}
    if chosen["side"] not in (*SIDES, BOTH):
        raise PrefloopError("The side is train, held_out or both.")
    if not isinstance(chosen["criterion"], str):
        raise PrefloopError("The criterion is a name, or empty for all.")
    for name in ("ties", "binary_from_pairs", "rewrites"):
        if not isinstance(chosen[name], bool):
            raise PrefloopError(f"{name} is true or false.")
    return chosen


def build_export(*, export: Export, context: ShowsProgress | None = None) -> Export:
    """Writes the file; doing it again replaces it by the same."""
    total = _expected(export)
    rows = _with_progress(_rows(export), total, context)
    name = f"{export.pk}/{_file_name(export)}"
    count = write_rows(rows, exports_folder() / name, export.shape, export.format)
    if not count:
        shutil.rmtree((exports_folder() / name).parent, ignore_errors=True)
        raise PrefloopError(
            "This export would hold no rows: nothing in the snapshot has this shape, side and "
            "criterion. Choose others."
        )
    Export.objects.filter(pk=export.pk).update(rows=count, file_name=name)
    export.refresh_from_db()
    return export


def exports_folder() -> Path:
    return Path(settings.DATA_DIR) / "exports"


def path_of(export: Export) -> Path | None:
    """None while the file is not there (not built yet, or built and cleaned away)."""
    path = exports_folder() / export.file_name
    return path if export.file_name and path.is_file() else None


def _file_name(export: Export) -> str:
    words = [slugify(export.project.name)[:40] or "project"]
    if export.snapshot is not None:
        words.append(f"snapshot-{export.snapshot.version}")
    shape = export.shape
    if export.options.get("binary_from_pairs") and shape == Shape.BINARY:
        shape = "binary_from_pairs"
    if export.options.get("rewrites") and shape in PAIRS:
        shape = f"{shape}_with_rewrites"
    words.append(shape.replace("_", "-"))
    if export.options.get("side", BOTH) != BOTH:
        words.append(export.options["side"].replace("_", "-"))
    if export.options.get("criterion"):
        words.append(slugify(export.options["criterion"]))
    return f"{'-'.join(words)}.{export.format}"


def _expected(export: Export) -> int:
    """How many records or answers are read, for the progress bar."""
    if export.snapshot is None:
        return count_answers(export.project)
    files = export.snapshot.manifest["files"]
    return sum(files[side]["records"] for side in _sides(export))


def _sides(export: Export) -> tuple[str, ...]:
    side = export.options.get("side", BOTH)
    return SIDES if side == BOTH else (side,)


def _rows(export: Export) -> Iterator[list[Row]]:
    """For each record or answer read, the rows that it gives."""
    if export.snapshot is None:
        for row in judgment_rows(export.project):
            yield [row]
        return
    wanted = export.options.get("criterion")
    for record in read_records(export.snapshot, *_sides(export)):
        fits = not wanted or record["criterion"] == wanted
        yield list(_shaped(record, export)) if fits else []


def _shaped(record: Row, export: Export) -> Iterable[Row]:
    if export.shape == Shape.RECORDS:
        return [record]
    asked = ("ties", "binary_from_pairs", "rewrites")
    options = ShapeOptions(**{name: export.options.get(name, False) for name in asked})
    names = {"side": record["side"], "criterion": record["criterion"]}
    facts = {**names, "tags": record.get("tags", [])}
    name = "pairs" if export.shape in PAIRS else export.shape
    extra = {"group": None, "source": record["kind"]} if name == "pairs" else {}
    rows = ({**extra, **facts, **row} for row in SHAPES[name](record, options))
    return map(_plain, rows) if export.shape == Shape.PAIRS else rows


def _plain(row: Row) -> Row:
    texts = {name: plain_text(row[name]) for name in ("prompt", "chosen", "rejected")}
    return {**row, **texts}


def _with_progress(
    rows: Iterator[list[Row]], total: int, context: ShowsProgress | None
) -> Iterator[Row]:
    for done, some in enumerate(rows):
        if context is not None and done % 500 == 0:
            context.progress(done=done, total=total, message="Writing rows")
        yield from some
