"""What every format comes to: rows of one prompt, its responses, and what was said about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotation.answers import AnswerValue
from annotation.messages import Messages
from core.errors import PrefloopError

# The project's first criterion, whatever it is called there.
MAIN_CRITERION = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was not imported, or (note) what in it was left out."""

    row: int
    field: str
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f", field {self.field}" if self.field else "")
        return f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class GivenResponse:
    generator: str
    messages: Messages
    family: str = ""
    # A data set or a file whose author is not known, rather than a named model.
    from_dataset: bool = False


@dataclass(frozen=True, slots=True)
class Who:
    """A worker of a source, or a judge (then `external_id` is its name)."""

    source: str
    external_id: str
    is_judge: bool = False
    family: str = ""


@dataclass(frozen=True, slots=True)
class GivenJudgment:
    """Answers by criterion, in the order in which the row lists its responses."""

    who: Who
    answers: Mapping[str, AnswerValue]
    comment: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    prompt: Messages
    responses: tuple[GivenResponse, ...] = ()
    # None: no item is made, the responses are only kept.
    kind: str | None = None
    prompt_id: str = ""
    external_id: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    judgments: tuple[GivenJudgment, ...] = ()
    gold: Mapping[str, AnswerValue] = field(default_factory=dict)
    gold_source: str = ""

    @property
    def size(self) -> int:
        """Characters, so that a batch is bounded in bytes and not only in rows."""
        texts = [self.prompt, *(response.messages for response in self.responses)]
        return sum(len(message["content"]) for messages in texts for message in messages)


@dataclass
class Meter:
    """How far a reader has come, for progress bars: bytes or rows, whatever it counts."""

    done: int = 0
    total: int = 0


Rows = Iterator[Row | Problem]


@dataclass(frozen=True)
class Format:
    """A format by its name. `read` gets the file or folder, a label for the source, a meter."""

    name: str
    title: str
    about: str
    read: Callable[[Path, str, Meter], Rows]
    # The names of its files, and which of them it cannot do without; empty: one file of any name.
    files: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    criteria: tuple[Mapping[str, str], ...] = ()
    # Data sets have a name of their own; other files are called by the one who imports them.
    label: str = ""


def guarded(number: int, parse: Callable[[], Row]) -> Row | Problem:
    """The row, or the problem that kept it from being one."""
    try:
        return parse()
    except PrefloopError as error:
        return Problem(number, str(error.fields.get("field", "")), error.message)
    except KeyError as error:
        return Problem(number, str(error.args[0])[:80], "is missing")
    except (TypeError, ValueError, AttributeError, IndexError):
        return Problem(number, "", "is not built as rows of this format are")
