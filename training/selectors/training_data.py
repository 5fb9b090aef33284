"""What a snapshot can feed a method with."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.models import Kind
from feedback.models import Preference, Snapshot
from feedback.services import training_data_available
from training.alignment.data.rows import KINDS
from training.alignment.methods import Method, methods
from training.alignment.methods.method import DataKind


@dataclass(frozen=True)
class Rows:
    train: int
    held_out: int
    # Binary methods compare an answer with one to another prompt, so a lone one will not do.
    needed: int = 1

    @property
    def is_enough(self) -> bool:
        return min(self.train, self.held_out) >= self.needed


def feedable(snapshot: Snapshot) -> dict[DataKind, int]:
    """Training rows by kind for the criterion with the most of them, switches at launch included;
    a kind that no criterion has enough of on both sides is left out.
    """
    found = {}
    for kind in KINDS:
        rows = rows_of_kind(snapshot, kind, binary_from_pairs=True, convert=True, rewrites=True)
        counts = [row.train for row in rows.values() if row.is_enough]
        if counts:
            found[kind] = max(counts)
    return found


def rows_of_kind(
    snapshot: Snapshot,
    kind: DataKind,
    *,
    binary_from_pairs: bool = False,
    convert: bool = False,
    rewrites: bool = False,
) -> dict[str, Rows]:
    """How many rows of a kind each criterion has; criteria without any are left out.

    `convert` counts preferred responses as demonstrations, `rewrites` also as pairs.
    """
    names = [_counted_as(kind, binary_from_pairs=binary_from_pairs, convert=convert)]
    names += ["demonstrations"] if kind == "pairs" and rewrites else []
    available = _available(snapshot)
    needed = 2 if kind == "binary" else 1
    rows = {}
    for criterion in sorted({one for name in names for one in available.get(name, {})}):
        sides = [available.get(name, {}).get(criterion, {}) for name in names]
        train, held_out = (
            sum(side.get(name, 0) for side in sides) for name in ("train", "held_out")
        )
        if train or held_out:
            rows[criterion] = Rows(train, held_out, needed)
    return rows


def rows_by_criterion(
    snapshot: Snapshot,
    method: Method,
    *,
    binary_from_pairs: bool,
    convert: bool = False,
    rewrites: bool = False,
) -> dict[str, Rows]:
    """How many rows of the method's data each criterion has; criteria without any are left out."""
    return rows_of_kind(
        snapshot,
        method.data,
        binary_from_pairs=binary_from_pairs,
        convert=convert,
        rewrites=rewrites,
    )


def prompts_without_answer(snapshot: Snapshot, criterion: str) -> tuple[int, int]:
    """How many prompts of the criterion lack a reference answer, and of how many; snapshots from
    before reference answers were frozen hold none."""
    rows = rows_of_kind(snapshot, "prompts").get(criterion, Rows(0, 0))
    answers = snapshot.manifest.get("answers", {}).get(criterion, {})
    asked = rows.train + rows.held_out
    return asked - sum(answers.values()), asked


def usable_methods(snapshot: Snapshot) -> list[Method]:
    """The methods that some criterion of the snapshot has enough data for, as it is or with the
    switches at launch."""
    kinds = feedable(snapshot)
    return [method for method in methods() if method.data in kinds]


def _counted_as(kind: DataKind, *, binary_from_pairs: bool, convert: bool) -> str:
    """What the manifest calls the rows of a kind."""
    if kind == "binary" and binary_from_pairs:
        return "binary_from_pairs"
    if kind == "demonstrations" and convert:
        return "demonstrations_from_preferred"
    return kind


def _available(snapshot: Snapshot) -> dict[str, dict[str, dict[str, int]]]:
    """What the manifest counts. Snapshots from before prompts and preferred responses were counted
    offer all their prompts, and of what was preferred about as many as were decided."""
    found = dict(training_data_available(snapshot=snapshot))
    if "prompts" not in found:
        criteria = {criterion for rows in found.values() for criterion in rows}
        found["prompts"] = dict.fromkeys(criteria, snapshot.manifest["prompts"])
        found["demonstrations_from_preferred"] = _about_preferred(snapshot, found)
    return found


def _about_preferred(
    snapshot: Snapshot, rows: dict[str, dict[str, dict[str, int]]]
) -> dict[str, dict[str, int]]:
    counts = {criterion: dict(sides) for criterion, sides in rows.get("demonstrations", {}).items()}
    for one in snapshot.manifest["counts"]:
        if one["kind"] != Kind.THUMBS and one["state"] != Preference.State.TIED:
            sides = counts.setdefault(one["criterion"], {"train": 0, "held_out": 0})
            sides[one["side"]] += one["records"]
    return counts
