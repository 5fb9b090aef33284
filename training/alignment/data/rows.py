"""What a row of training data is, whatever it was read from."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

Text = str | list[dict[str, Any]]
Kind = Literal["pairs", "lists", "binary", "demonstrations", "prompts"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class DataError(ValueError):
    """A data file cannot be used; the message names the file, the row and the field."""


class FieldError(DataError):
    """What is wrong with one field of one row."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"field '{field}' {problem}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Row:
    """One unit of training, still as text: a pair, a list, an answer or a prompt.

    `completions` holds one text by role: chosen and rejected (pairs), completion_0, completion_1 …
    (lists, in the file's order), completion (binary, demonstrations), nothing (prompts).
    `target` is the probability that chosen is better (pairs) or the label (binary), else 1.
    `margin` says by how much chosen is better, from 0 to 1, where that is known. `ranks` are those
    of a list's completions: 1 is best and equal ranks tie; `scores` are what they come from.
    `group` is what the row names, or nothing. `facts` are its other fields: what rewards answers,
    `source` and `tags`, by which an evaluation tells scores apart, and `tools`.
    """

    id: str
    group: str
    prompt: Text
    completions: Mapping[str, Text]
    target: float
    weight: float
    margin: float = 0.0
    ranks: tuple[int, ...] | None = None
    scores: tuple[float, ...] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tools(self) -> list[dict[str, Any]] | None:
        """What the chat template is told of tools; None for a plain text, which meets none."""
        found: list[dict[str, Any]] | None = self.facts.get("tools")
        return found if found and not isinstance(self.prompt, str) else None

    @property
    def prompt_key(self) -> str:
        """Equal for equal prompts, tools included: the unit by which evaluation resamples."""
        asked = [self.prompt, self.tools] if self.tools else self.prompt
        canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def half_of(rows: Sequence[Row], half: str) -> list[Row]:
    """The rows of the first or the second half of the prompts, told apart by the prompt's hash."""
    parity = {"first": 0, "second": 1}[half]
    return [row for row in rows if int(row.prompt_key, 16) % 2 == parity]


def without_ties(rows: Sequence[Row]) -> list[Row]:
    """Drop pairs of probability 0.5 and take all others for certain."""
    decided = [row for row in rows if row.target != 0.5]
    return [replace(row, target=1.0) for row in likelier_first(decided)]


def likelier_first(rows: Sequence[Row]) -> list[Row]:
    """Turn the pairs round whose rejected side is the likelier one."""
    return [row if row.target >= 0.5 else swapped(row) for row in rows]


def with_weights(rows: Sequence[tuple[Kind, Row]], data: Kind) -> list[tuple[Kind, Row]]:
    """Give a weight of one to rows that name none; the pairs of a named group share it.

    So they do when they become `data` of another kind, but for prompts, which are asked once each.
    """
    shared = [row.group for kind, row in rows if kind == "pairs" and data != "prompts"]
    sizes = Counter(filter(None, shared))
    return [
        (kind, row if row.weight else replace(row, weight=1.0 / _share(kind, row, sizes)))
        for kind, row in rows
    ]


def _share(kind: Kind, row: Row, sizes: Mapping[str, int]) -> int:
    return sizes.get(row.group, 1) if kind == "pairs" else 1


def swapped(row: Row) -> Row:
    """A pair the other way round, with the probability of its new chosen side."""
    sides = {"chosen": row.completions["rejected"], "rejected": row.completions["chosen"]}
    return replace(row, completions=sides, target=1.0 - row.target)
