"""What is put before a judge, in canonical order, free of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.canonical_json import digest

# {"role", "content"}; an assistant's may have "tool_calls", a tool's "name" and "tool_call_id".
Message = Mapping[str, Any]

PAIRWISE, LISTWISE, THUMBS = "pairwise", "listwise", "thumbs"
KINDS = (PAIRWISE, LISTWISE, THUMBS)
LONGEST_LIST = 9


@dataclass(frozen=True)
class Criterion:
    key: str
    name: str
    definition: str = ""


@dataclass(frozen=True)
class ItemContent:
    """One prompt with its responses in canonical order, and what is asked about them.

    `picks` says that the project asks only which response is better: strengths are then 0 or ±2.
    """

    kind: str
    prompt: tuple[Message, ...]
    responses: tuple[tuple[Message, ...], ...]
    criteria: tuple[Criterion, ...]
    reference: str = ""
    guidelines: str = ""
    picks: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")
        least, most = {PAIRWISE: (2, 2), LISTWISE: (2, LONGEST_LIST), THUMBS: (1, 1)}[self.kind]
        if not least <= len(self.responses) <= most:
            raise ValueError(
                f"responses: {len(self.responses)} are given, and a {self.kind} item has "
                + (str(least) if least == most else f"{least} to {most}")
            )
        keys = [criterion.key for criterion in self.criteria]
        if not keys or len(set(keys)) != len(keys):
            raise ValueError("criteria: one is needed at least, and each key once")

    def content_hash(self) -> str:
        """SHA-256 of the canonical JSON of everything here: any change of it changes the hash."""
        return self._hash

    # Asked for several times a call; asdict alone would take as long as the call's other work.
    @cached_property
    def _hash(self) -> str:
        return digest(vars(self) | {"criteria": [vars(criterion) for criterion in self.criteria]})
