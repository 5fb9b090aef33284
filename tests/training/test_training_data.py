"""Which methods a snapshot has data for."""

from __future__ import annotations

import pytest

from feedback.models import Snapshot
from training.selectors.training_data import Rows, feedable, rows_of_kind, usable_methods


def snapshot(**rows: tuple[int, int]) -> Snapshot:
    counts = {
        data: {"overall": {"train": train, "held_out": held_out}}
        for data, (train, held_out) in {"prompts": (0, 0), **rows}.items()
    }
    return Snapshot(manifest={"rows": counts})


@pytest.mark.parametrize(
    ("rows", "usable"),
    [
        ({"pairs": (4, 1)}, {"pairs": 4}),
        ({"pairs": (5, 0)}, {}),
        # KTO holds an answer against one to another prompt: a lone held-out answer will not do.
        ({"binary_from_pairs": (9, 1)}, {}),
        ({"binary_from_pairs": (9, 2)}, {"binary": 9}),
        ({"binary": (9, 9)}, {}),
        ({"lists": (3, 2), "pairs": (9, 6)}, {"lists": 3, "pairs": 9}),
        ({"demonstrations_from_preferred": (2, 1)}, {"demonstrations": 2}),
        ({"prompts": (2, 2)}, {"prompts": 2}),
        # What rewrites add to pairs.
        ({"pairs": (4, 1), "demonstrations": (2, 1)}, {"pairs": 6}),
    ],
)
def test_what_a_snapshot_can_feed(rows: dict[str, tuple[int, int]], usable: dict[str, int]) -> None:
    assert feedable(snapshot(**rows)) == usable


def test_only_methods_that_can_run_are_offered() -> None:
    offered = usable_methods(snapshot(binary_from_pairs=(9, 2)))
    assert "kto" in {method.name for method in offered}
    assert {method.data for method in offered} == {"binary"}


def test_the_best_criterion_counts_and_each_is_told_apart() -> None:
    rows = {"overall": {"train": 3, "held_out": 1}, "style": {"train": 8, "held_out": 0}}
    row = Snapshot(manifest={"rows": {"pairs": rows, "prompts": {}}})
    assert feedable(row) == {"pairs": 3}
    assert rows_of_kind(row, "pairs") == {"overall": Rows(3, 1), "style": Rows(8, 0)}


def test_rewrites_and_preferred_responses_count_when_asked() -> None:
    row = snapshot(pairs=(4, 1), demonstrations=(2, 1), demonstrations_from_preferred=(6, 2))
    assert rows_of_kind(row, "pairs", rewrites=True) == {"overall": Rows(6, 2)}
    assert rows_of_kind(row, "demonstrations") == {"overall": Rows(2, 1)}
    assert rows_of_kind(row, "demonstrations", convert=True) == {"overall": Rows(6, 2)}


def test_a_snapshot_from_before_prompts_were_counted_still_feeds() -> None:
    count = {"criterion": "overall", "records": 5, "state": "accepted"}
    manifest = {
        "rows": {"pairs": {"overall": {"train": 5, "held_out": 5}}},
        "prompts": {"train": 4, "held_out": 3},
        "counts": [{**count, "kind": "pairwise", "side": side} for side in ("train", "held_out")]
        + [{**count, "kind": "pairwise", "side": "train", "state": "tied"}],
    }
    found = feedable(Snapshot(manifest=manifest))
    assert found == {"pairs": 5, "demonstrations": 5, "prompts": 4}
