"""What a snapshot can feed a method with."""

from __future__ import annotations

from dataclasses import dataclass

from feedback.models import Snapshot
from feedback.services import training_data_available
from training.alignment.methods import Method, methods


@dataclass(frozen=True)
class Rows:
    train: int
    held_out: int
    # Binary methods compare an answer with one to another prompt, so a lone one will not do.
    needed: int = 1

    @property
    def is_enough(self) -> bool:
        return min(self.train, self.held_out) >= self.needed


def rows_by_criterion(
    snapshot: Snapshot, method: Method, *, binary_from_pairs: bool
) -> dict[str, Rows]:
    """How many rows of the method's data each criterion has; criteria without any are left out."""
    data = "binary_from_pairs" if method.data == "binary" and binary_from_pairs else method.data
    counts = training_data_available(snapshot=snapshot).get(data, {})
    needed = 2 if method.data == "binary" else 1
    rows = {name: Rows(count["train"], count["held_out"], needed) for name, count in counts.items()}
    return {name: row for name, row in rows.items() if row.train or row.held_out}


def usable_methods(snapshot: Snapshot, *, binary_from_pairs: bool = True) -> list[Method]:
    """The methods that some criterion of the snapshot has enough data for."""
    return [
        method
        for method in methods()
        if any(
            rows.is_enough
            for rows in rows_by_criterion(
                snapshot, method, binary_from_pairs=binary_from_pairs
            ).values()
        )
    ]
