"""What a file could be used for, before a method is chosen."""

from dataclasses import dataclass
from pathlib import Path

from training.alignment.data.conversions import CONVERSIONS
from training.alignment.data.read import Problem, ReadOptions, SourceReport, read_data
from training.alignment.data.rows import KINDS, DataError, Kind


@dataclass(frozen=True)
class Survey:
    """`rows` counts what there is of each kind, `convertible` what conversions would make of it;
    kinds that the file cannot feed are left out of both. `odd` names the first rows that a method
    of the commonest kind would refuse for being of another."""

    rows: dict[Kind, int]
    convertible: dict[Kind, int]
    report: SourceReport
    odd: tuple[Problem, ...] = ()


def survey(path: str | Path) -> Survey:
    """Count a file's rows by kind; rows that cannot be used are told in the report.

    Raises DataError where no row can be used.
    """
    report = _report(path)
    rows = {kind: report.kinds[kind] for kind in KINDS if kind in report.kinds}
    convertible = {}
    for kind in KINDS:
        sources = [have for have in rows if (have, kind) in CONVERSIONS]
        if sources:
            convertible[kind] = _converted(path, kind, sources)
    made = {kind: count for kind, count in convertible.items() if count}
    return Survey(rows, made, report, _odd(path, rows, report))


def _report(path: str | Path) -> SourceReport:
    """Everything can be asked as a prompt, so nothing is of the wrong kind."""
    return read_data(path, "prompts", ReadOptions(convert=KINDS, skip_bad=True)).report


def _odd(path: str | Path, rows: dict[Kind, int], report: SourceReport) -> tuple[Problem, ...]:
    if len(rows) < 2:
        return ()
    commonest = max(rows, key=lambda kind: rows[kind])
    refused = read_data(path, commonest, ReadOptions(skip_bad=True)).report.problems
    return tuple(problem for problem in refused if problem not in report.problems)


def _converted(path: str | Path, kind: Kind, sources: list[Kind]) -> int:
    try:
        found = read_data(path, kind, ReadOptions(convert=tuple(sources), skip_bad=True))
    except DataError:
        return 0
    made = sum(found.report.converted.values())
    return made - found.report.repeated_prompts
