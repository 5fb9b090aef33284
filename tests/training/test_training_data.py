"""Which methods a snapshot has data for."""

from __future__ import annotations

import pytest

from feedback.models import Snapshot
from training.selectors.training_data import usable_methods


def snapshot(**rows: tuple[int, int]) -> Snapshot:
    counts = {
        data: {"overall": {"train": train, "held_out": held_out}}
        for data, (train, held_out) in rows.items()
    }
    return Snapshot(manifest={"rows": counts})


@pytest.mark.parametrize(
    ("rows", "usable"),
    [
        ({"pairs": (1, 1)}, {"dpo"}),
        ({"pairs": (5, 0)}, set()),
        # KTO holds an answer against one to another prompt: a lone held-out answer will not do.
        ({"binary_from_pairs": (9, 1)}, set()),
        ({"binary_from_pairs": (9, 2)}, {"kto"}),
    ],
)
def test_only_methods_that_can_run_are_offered(
    rows: dict[str, tuple[int, int]], usable: set[str]
) -> None:
    assert {method.name for method in usable_methods(snapshot(**rows))} == usable
