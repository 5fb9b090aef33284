"""Reads a file or folder of rows for a method that needs one kind of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from training.alignment.data.conversions import CONVERSIONS
from training.alignment.data.kinds import PARSERS
from training.alignment.data.messages import tools, unread_fields, with_system
from training.alignment.data.rows import DataError, FieldError, Kind, Row, Text, with_weights
from training.alignment.data.shapes import shape_of
from training.alignment.data.sources import Record, read_records

NAMED = 20
# What the pieces of an odd row may raise, once every field that is read has been looked at.
_ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Rows of the kinds in `convert` become what is needed. `skip_bad` leaves out rows that cannot be
    used, and counts them, where otherwise they all are one error. `as_chat` takes plain texts for
    turns of a chat: the prompt for the user's, completions for the assistant's. `last_turn` trains
    of a demonstrated talk only the assistant's last turn, otherwise all of them.
    """

    convert: tuple[Kind, ...] = ()
    skip_bad: bool = False
    as_chat: bool = False
    last_turn: bool = False


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be used; `field` is empty where the row as a whole is at fault."""

    file: str
    row: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


@dataclass
class SourceReport:
    """What a file held: rows by shape and by kind, and what became of them.

    `unread` counts rows by what the assistant's messages hold and no chat template is given: a
    thought, a weight, whatever else.
    """

    file: str = ""
    rows: int = 0
    shapes: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    converted: dict[str, int] = field(default_factory=dict)
    without_result: int = 0
    repeated_prompts: int = 0
    identical_sides: int = 0
    bad_rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)


class DataFile(NamedTuple):
    """The rows of one side of the data, and what they come from."""

    rows: list[Row]
    report: SourceReport


def read_rows(path: str | Path, data: Kind, convert: Iterable[Kind] = ()) -> list[Row]:
    """The rows of `read_data`, with nothing but `convert` asked for."""
    return read_data(path, data, ReadOptions(convert=tuple(convert))).rows


def read_data(path: str | Path, data: Kind, options: ReadOptions | None = None) -> DataFile:
    """Read a file or folder for a method that needs `data`.

    Lists become pairs where pairs are needed; any other conversion has to be asked for.

    Raises DataError that lists all rows that cannot be used (the first twenty by name), unless
    they may be left out, and where nothing usable is left.
    """
    path = Path(path)
    reading = _Reading(data, options or ReadOptions(), SourceReport(file=path.name))
    parsed: list[tuple[Kind, Row]] = []
    for record in read_records(path):
        parsed += reading.rows_of(record, path)
    # The pairs of a group share its weight, whatever is made of them.
    rows = [row for kind, one in with_weights(parsed, data) for row in reading.made_of(kind, one)]
    report = reading.report
    if report.bad_rows and not reading.options.skip_bad:
        raise DataError(_told(report))
    if not rows:
        reason = f"\n{_told(report)}" if report.bad_rows else ""
        raise DataError(f"{path.name}: holds no usable {data} row{reason}")
    if data == "prompts" and report.converted:
        rows = reading.distinct(rows)
    return DataFile(rows, report)


def _told(report: SourceReport) -> str:
    lines = [str(problem) for problem in report.problems]
    more = report.bad_rows - len(lines)
    if more:
        lines.append(f"and {more} more of {report.rows} rows cannot be used")
    return "\n".join(lines)


# Where a row may hold messages, by whatever shape.
_TALKS = (
    *("messages", "conversations", "prompt", "input", "completion", "completions"),
    *("chosen", "rejected", "preferred_output", "non_preferred_output"),
)
# What makes a row of each kind of a prompt alone.
_ANSWERED: dict[Kind, str] = {
    "pairs": "the fields 'chosen' and 'rejected'",
    "lists": "the fields 'completions' and 'ranks' or 'scores'",
    "binary": "the fields 'completion' and 'label'",
    "demonstrations": "the field 'completion'",
}


@dataclass
class _Reading:
    data: Kind
    options: ReadOptions
    report: SourceReport

    def rows_of(self, record: Record, path: Path) -> list[tuple[Kind, Row]]:
        """The row and its kind; a bad one becomes a problem of the report."""
        self.report.rows += 1
        try:
            if isinstance(record.values, DataError):
                raise record.values
            return [self._parsed(record.values, f"{path.stem}-{self.report.rows}")]
        except DataError as error:
            self._note(record, error)
        except _ODD as error:
            name = type(error).__name__
            self._note(record, DataError(f"cannot be read as training data ({name}: {error})"))
        return []

    def _note(self, record: Record, error: DataError) -> None:
        self.report.bad_rows += 1
        if len(self.report.problems) < NAMED:
            name = error.field if isinstance(error, FieldError) else ""
            # A row may name its fields in halves of characters, which no report can hold.
            reason = str(error).encode(errors="backslashreplace").decode()
            self.report.problems.append(Problem(record.file, record.number, name, reason))

    def _parsed(self, fields: Mapping[str, Any], default_id: str) -> tuple[Kind, Row]:
        # Columns that a row does not use are null in Parquet.
        values = {name: value for name, value in fields.items() if value is not None}
        shape = shape_of(values)
        if not self._accepts(shape.kind):
            raise DataError(self._unfit(shape.kind))
        converted = {"id": default_id, **shape.convert(values)}
        row = PARSERS[shape.kind](converted)
        row = as_chat(row) if self.options.as_chat else row
        row = with_tools(told_by_system(row, converted.get("system")))
        if shape.is_talk and self.data == "demonstrations" and not self.options.last_turn:
            row = with_all_turns(row)
        self._count(shape.name, shape.kind, row)
        self._count_unread(values)
        return shape.kind, row

    def made_of(self, kind: Kind, row: Row) -> list[Row]:
        """The row, or what its conversion makes of it."""
        if kind == self.data:
            return [row]
        made = CONVERSIONS[kind, self.data](row)
        _add(self.report.converted, kind, len(made))
        self.report.without_result += not made
        return made

    def _accepts(self, kind: Kind) -> bool:
        is_list_of_pairs = (kind, self.data) == ("lists", "pairs")
        is_asked = kind in self.options.convert and (kind, self.data) in CONVERSIONS
        return kind == self.data or is_list_of_pairs or is_asked

    def _unfit(self, kind: Kind) -> str:
        text = f"has the shape of {kind} data, but the method needs {self.data}"
        if (kind, self.data) in CONVERSIONS:
            return f"{text}; it can be made from {kind} when that is asked for (convert_data)"
        if (kind, self.data) == ("demonstrations", "binary"):
            return f"{text}: add the field 'label'"
        if kind == "prompts":
            return f"{text}: add {_ANSWERED[self.data]}"
        return text

    def _count(self, name: str, kind: Kind, row: Row) -> None:
        _add(self.report.shapes, name, 1)
        _add(self.report.kinds, kind, 1)
        texts = list(row.completions.values())
        self.report.identical_sides += kind == "pairs" and texts[0] == texts[1]

    def _count_unread(self, values: Mapping[str, Any]) -> None:
        unread, counts = unread_fields([values.get(name) for name in _TALKS]), self.report.unread
        for name in sorted(str(name) for name in unread):
            if name in counts or len(counts) < NAMED:
                _add(counts, name.encode(errors="backslashreplace").decode(), 1)

    def distinct(self, rows: list[Row]) -> list[Row]:
        """Each prompt once: two answers to it are no reason to ask it twice."""
        first = {row.prompt_key: row for row in reversed(rows)}
        self.report.repeated_prompts = len(rows) - len(first)
        return [row for row in rows if first[row.prompt_key] is row]


def as_chat(row: Row) -> Row:
    """Plain texts as a turn of the user and turns of the assistant; messages as they are."""
    if not isinstance(row.prompt, str):
        return row
    prompt: Text = [{"role": "user", "content": row.prompt}]
    turns = {
        role: [{"role": "assistant", "content": text}] for role, text in row.completions.items()
    }
    return replace(row, prompt=prompt, completions=turns)


def told_by_system(row: Row, text: Any) -> Row:
    """The row whose prompt begins with what its field `system` says."""
    if text in (None, ""):
        return row
    if isinstance(row.prompt, str):
        raise FieldError(
            "system",
            "cannot stand before a prompt that is a plain text: make chats of texts "
            "(chat_texts), or write it into the prompt",
        )
    return replace(row, prompt=with_system(row.prompt, text))


def with_tools(row: Row) -> Row:
    """A chat whose tools are a list of objects; what a plain text calls tools is its own affair."""
    if isinstance(row.prompt, str) or "tools" not in row.facts:
        return row
    return replace(row, facts={**row.facts, "tools": tools(row.facts["tools"])})


def with_all_turns(row: Row) -> Row:
    """A talk as messages, whose completion begins with the assistant's first turn after another."""
    talk: Any = [*row.prompt, *row.completions["completion"]]
    turns = enumerate(talk)
    first = next(place for place, one in turns if place and one["role"] == "assistant")
    return replace(row, prompt=talk[:first], completions={"completion": talk[first:]})


def _add(counts: dict[str, int], name: str, number: int) -> None:
    counts[name] = counts.get(name, 0) + number
