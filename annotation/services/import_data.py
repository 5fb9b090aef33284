"""Brings a file into a project, batch by batch: a batch is written whole or not at all.

Everything has an identity (content hashes, item keys, one judgment an annotator and item), so
importing twice, or again after a crash, adds only what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.answers import checked
from annotation.importers import get_format
from annotation.importers.rows import MAIN_CRITERION, Format, Meter, Problem, Row
from annotation.models import (
    Answer,
    Assignment,
    Item,
    ItemResponse,
    Judgment,
    Kind,
    Project,
    Prompt,
    Response,
)
from annotation.services.import_batch import BatchCounts, BatchWriter
from core.bulk import refresh_statistics
from core.errors import PrefloopError
from core.models import User
from core.services.audit import record_event

BATCH_ROWS = 2_000
# Long texts fill a batch before its rows do.
BATCH_CHARACTERS = 8_000_000
PROBLEMS_KEPT = 50
MANY_ROWS = 200


@dataclass(frozen=True)
class ClosedItems:
    """How many items of a kind from this source are closed with judgments of so many people and of
    these judges on each."""

    kind: str
    people: int
    judge_ids: list[int]
    items: int


@dataclass
class ImportReport:
    rows: int = 0
    imported: int = 0
    problems: int = 0
    first_problems: list[Problem] = field(default_factory=list)
    counts: BatchCounts = field(default_factory=BatchCounts)
    closed: list[ClosedItems] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "imported": self.imported,
            "problems": self.problems,
            "first_problems": [asdict(problem) for problem in self.first_problems],
            "counts": asdict(self.counts),
            "closed": [asdict(one) for one in self.closed],
        }


def import_data(
    *,
    project: Project,
    format_name: str,
    path: Path,
    label: str = "",
    actor: User | None = None,
    dry_run: bool = False,
    keep_open: bool = False,
    hide_gold: bool = False,
    batch_rows: int = BATCH_ROWS,
    guard: Callable[[], AbstractContextManager[None]] = transaction.atomic,
    on_progress: Callable[[Meter], None] = lambda meter: None,
    on_problem: Callable[[Problem], None] = lambda problem: None,
) -> ImportReport:
    """Good rows are imported, bad ones reported. `guard` makes the transaction of each batch.

    Items that come with judgments are closed, unless `keep_open`; with `hide_gold`, those with a
    known answer become hidden gold. A dry run writes every batch and rolls it back, so its counts
    are exact within batches.
    """
    if not 1 <= batch_rows <= 20_000:
        raise PrefloopError("A batch has 1 to 20,000 rows.")
    chosen = get_format(format_name)
    label = (chosen.label or label or path.stem)[:80]
    check_project(project, chosen)
    meter = Meter()
    report = ImportReport()
    writer = BatchWriter(
        project=project, batch=f"import:{label}", keep_open=keep_open, hide_gold=hide_gold
    )

    def note(problem: Problem) -> None:
        report.problems += 1
        if len(report.first_problems) < PROBLEMS_KEPT:
            report.first_problems.append(problem)
        on_problem(problem)

    rows = _good_rows(chosen.read(path, label, meter), project, report, note)
    for batch in _batches(rows, batch_rows):
        with guard():
            counts = writer.write(batch)
            if dry_run:
                transaction.set_rollback(True)
        if dry_run:
            writer.forget()
        report.counts.add(counts)
        report.imported += len(batch)
        on_progress(meter)
    if not dry_run and report.imported >= MANY_ROWS:
        refresh_statistics(Prompt, Response, Item, ItemResponse, Assignment, Judgment, Answer)
    if not dry_run:
        report.closed = _closed_items(project, writer.batch)
        _record(project, actor, chosen, label, report)
    return report


def _closed_items(project: Project, batch: str) -> list[ClosedItems]:
    """Read once, at the end: an item's judgments may come in rows of several batches."""
    items = Item.objects.filter(
        project=project, batch=batch, closed_at__isnull=False, origin=Item.Origin.CREATED,
        is_gold=False,
    )  # fmt: skip
    rows = items.annotate(people=_people(), judge_ids=_judge_ids())
    groups = rows.values("kind", "people", "judge_ids").annotate(items=Count("pk"))
    return [ClosedItems(**row) for row in groups.order_by("kind", "people", "judge_ids")]


def _people() -> Coalesce:
    """How many judged an item."""
    given = _given(annotator__judge=None).order_by().values("item")
    return Coalesce(Subquery(given.annotate(given=Count("pk")).values("given")), 0)


def _judge_ids() -> ArraySubquery:
    judges = _given(annotator__judge__isnull=False).order_by("annotator__judge")
    return ArraySubquery(judges.values("annotator__judge"))


def _given(**by: Any) -> QuerySet[Assignment]:
    """Judgments on an item that stand."""
    return Assignment.objects.filter(
        item=OuterRef("pk"), occasion=Assignment.MAIN, state=Assignment.State.DONE, **by
    )


def _record(
    project: Project, actor: User | None, chosen: Format, label: str, report: ImportReport
) -> None:
    record_event(
        actor=actor,
        action="import_data",
        target=project,
        project_id=project.pk,
        detail={
            "format": chosen.name,
            "label": label,
            "rows": report.imported,
            "hidden_gold": report.counts.hidden_gold,
        },
    )


def check_project(project: Project, chosen: Format) -> None:
    """A data set that needs kinds or criteria which the project lacks is refused as a whole."""
    protocol = project.protocol
    kinds = sorted(set(chosen.kinds) - set(protocol.kinds))
    if kinds:
        raise PrefloopError(
            f"{chosen.title} holds {', '.join(kinds)} judgments, and “{project}” does not collect "
            "them. Add the kind in the project's settings, or import into another project.",
            field="format",
        )
    wanted = {criterion["key"] for criterion in chosen.criteria}
    missing = sorted(wanted - set(protocol.criterion_keys))
    if missing:
        raise PrefloopError(
            f"{chosen.title} is judged by {', '.join(sorted(wanted))}; “{project}” lacks "
            f"{', '.join(missing)}. Add it in the project's settings, or import into another one.",
            field="format",
        )


def _good_rows(
    found: Iterable[Row | Problem],
    project: Project,
    report: ImportReport,
    note: Callable[[Problem], None],
) -> Iterator[Row]:
    protocol = project.protocol
    for row in found:
        report.rows += 1
        problem = (
            row
            if isinstance(row, Problem)
            else _problem(row, protocol.kinds, protocol.criterion_keys)
        )
        if problem is not None:
            note(problem)
        elif isinstance(row, Row):
            yield row


def _problem(row: Row, kinds: list[str], criteria: list[str]) -> Problem | None:
    """What keeps a well-formed row out of this project."""
    try:
        _check_row(row, kinds, criteria)
    except PrefloopError as error:
        return Problem(row.number, str(error.fields.get("field", "")), error.message)
    return None


def _check_row(row: Row, kinds: list[str], criteria: list[str]) -> None:
    if row.kind is None:
        return
    kind = Kind(row.kind)
    if row.kind not in kinds:
        raise PrefloopError(
            f"this project does not collect {row.kind}; its settings can add it", field="kind"
        )
    _check_responses(row, kind)
    given = [(f"judgments[{i}]", one.answers) for i, one in enumerate(row.judgments)]
    for where, answers in [*given, ("gold", row.gold)]:
        for criterion, value in answers.items():
            if criterion != MAIN_CRITERION and criterion not in criteria:
                raise PrefloopError(
                    f"this project has no criterion {criterion!r}; it has {', '.join(criteria)}",
                    field=where,
                )
            try:
                checked(row.kind, len(row.responses), value)
            except PrefloopError as error:
                raise PrefloopError(error.message, field=where) from error


def _check_responses(row: Row, kind: Kind) -> None:
    size = len(row.responses)
    fits = {Kind.THUMBS: size == 1, Kind.PAIRWISE: size == 2, Kind.LISTWISE: 2 <= size <= 20}
    if not fits[kind]:
        wanted = {Kind.THUMBS: "1 response", Kind.PAIRWISE: "2 responses"}
        words = wanted.get(kind, "2 to 20 responses")
        raise PrefloopError(f"a {kind.value} row has {words}, this one {size}", field="responses")
    texts = {(one.generator, str(one.messages)) for one in row.responses}
    if len(texts) < size:
        raise PrefloopError("the same text by the same generator twice", field="responses")


def _batches(rows: Iterator[Row], most: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) >= most or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
